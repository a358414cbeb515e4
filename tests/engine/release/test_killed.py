"""A release that ends behind each of its steps and is run again: the state is that of one clean run.

Needs a Docker engine and a registry. The release runs in this process; test_release.py kills real ones with SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pipelines.release import steps
from tests.engine.fixtures_repo import Done
from tests.engine.in_process import must, verb
from tests.engine.release.engine import Shop, docker
from tests.engine.release.test_release import another, check, digest_of, told

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("docker-killed")]
STEPS = ("bring", "build", "push", "smoke", "register", "deploy", "assign", "settle")


class Killed(BaseException):
    """Nothing of ours catches it."""


def run(shop: Shop) -> Done:
    """`release run` in this process."""
    return verb(shop.repo, "release", "run", **shop.environment)


def state(shop: Shop) -> dict[str, Any]:
    """What a release leaves behind, without what differs by the hour."""
    rows = [{**row, "since": None} for row in told(shop)]
    remote = shop.repo.git("ls-remote", "--tags", "origin").splitlines()
    return {
        "history": rows,
        "tags": sorted(line.partition("refs/tags/")[2] for line in remote if not line.endswith("^{}")),
        "local": sorted(shop.repo.git("tag").splitlines()),
        "smoking": docker("ps", "--all", "--quiet", "--filter", f"label=mainline.smoke={os.getpid()}"),
        "production": digest_of(shop, "production"),
    }


def test_killed_behind_any_step_and_run_again_it_ends_as_a_clean_run_does(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    must(run(shop))
    for number, step in enumerate(STEPS, 1):
        commit = another(shop, 10_000 - number)
        seen: list[str] = []

        def passed(name: str, last: str = step, seen: list[str] = seen) -> None:
            seen.append(name)
            if name == last:
                raise Killed

        monkeypatch.setattr(steps, "passed", passed)
        with pytest.raises(Killed):
            run(shop)
        assert tuple(seen) == STEPS[: STEPS.index(step) + 1]
        monkeypatch.undo()
        done = must(run(shop))
        assert ("Building the image" in done.out) == (step in ("bring", "build")), done.out
        version = f"{shop.line}@v1.0.{number}"
        check(shop, version, number + 1)
        found = state(shop)
        assert found["history"][0]["main_commit"] == commit
        versions = [f"{shop.line}@v1.0.{i}" for i in range(number + 1)]
        assigned = [f"{shop.line}#production#{i}" for i in range(1, number + 2)]
        assert found["tags"] == found["local"] == sorted(versions + assigned)
        assert found["smoking"] == ""
        # And once more there is nothing to do.
        must(run(shop))
        assert state(shop) == found


def test_a_container_of_a_smoke_test_that_was_killed_is_removed_by_the_next(shop: Shop) -> None:
    must(run(shop))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    image = told(shop)[0]["image"]
    left = docker("create", f"--label=mainline.smoke={ended.pid}", image)
    another(shop)
    must(run(shop))
    assert left[:12] not in docker("ps", "--all", "--quiet").split()
