"""A release that is killed after each of its steps and run again: the state is that of one clean run.

Needs a Docker engine and a registry. The release runs in this process; test_release.py kills real ones with SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from pipelines.release import deploy, ensure_image, fetch_model, flow, reconcile, smoke_test
from tests.engine.fixtures_repo import CommandResult
from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository, docker
from tests.engine.release.test_release import another, check, digest_of, read_status

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("docker-killed")]
# The function of each step of docs/releases.md, in order.
STEPS = (
    (fetch_model, "fetch_model"),
    (ensure_image, "build_image"),
    (ensure_image, "push_image"),
    (smoke_test, "run_smoke_test"),
    (flow, "_ensure_version"),
    (deploy, "deploy"),
    (flow, "_ensure_assignment"),
    (reconcile, "apply_assignment"),
)


class Killed(BaseException):
    """An exception that the release does not catch."""


def kill_after(step: tuple[Any, str], done: list[tuple[Any, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a release record its steps in `done`, and end after one of them."""

    def patch(module: Any, name: str) -> None:
        function = getattr(module, name)

        def run_step(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            done.append((module, name))
            if (module, name) == step:
                raise Killed
            return result

        monkeypatch.setattr(module, name, run_step)

    for module, name in STEPS:
        patch(module, name)


def run(shop: TeamRepository) -> CommandResult:
    """`release run` in this process."""
    return verb(shop.repo, "release", "run", **shop.environment)


def state(shop: TeamRepository) -> dict[str, Any]:
    """What a release leaves behind, without what differs by the hour."""
    rows = [{**row, "since": None} for row in read_status(shop)]
    remote = shop.repo.git("ls-remote", "--tags", "origin").splitlines()
    return {
        "history": rows,
        "tags": sorted(line.partition("refs/tags/")[2] for line in remote if not line.endswith("^{}")),
        "local": sorted(shop.repo.git("tag").splitlines()),
        "smoking": docker("ps", "--all", "--quiet", "--filter", f"label=mainline.smoke={os.getpid()}"),
        "production": digest_of(shop, "production"),
    }


def test_killed_behind_any_step_and_run_again_it_ends_as_a_clean_run_does(
    shop: TeamRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    must(run(shop))
    for number, step in enumerate(STEPS, 1):
        commit = another(shop, 10_000 - number)
        done_steps: list[tuple[Any, str]] = []
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(step, done_steps, patch)
            run(shop)
        assert tuple(done_steps) == STEPS[:number]
        done = must(run(shop))
        assert ("Building the image" in done.out) == (number <= 2), done.out
        version = f"{shop.model_name}@v1.0.{number}"
        check(shop, version, number + 1)
        found = state(shop)
        assert found["history"][0]["main_commit"] == commit
        versions = [f"{shop.model_name}@v1.0.{i}" for i in range(number + 1)]
        assigned = [f"{shop.model_name}#production#{i}" for i in range(1, number + 2)]
        assert found["tags"] == found["local"] == sorted(versions + assigned)
        assert found["smoking"] == ""
        # And once more there is nothing to do.
        must(run(shop))
        assert state(shop) == found


def test_a_container_of_a_smoke_test_that_was_killed_is_removed_by_the_next(shop: TeamRepository) -> None:
    must(run(shop))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    image = read_status(shop)[0]["image"]
    left = docker("create", f"--label=mainline.smoke={ended.pid}", image)
    another(shop)
    must(run(shop))
    assert left[:12] not in docker("ps", "--all", "--quiet").split()
