"""A release that is killed after each of its steps and run again ends as one that was not killed.

Needs a Docker engine and a registry. The release runs in this process; the last test kills another with SIGKILL.
"""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from pipelines.release import deploy, ensure_image, fetch_model, flow, reconcile, smoke_test
from tests.engine.fixtures_repo import CommandResult, quiet_environment
from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository, docker
from tests.engine.release.team_release import another, check, digest_of, read_status

pytestmark = pytest.mark.engine
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
    """Return the state that a release leaves, without times."""
    rows = [{**row, "since": None} for row in read_status(shop)]
    remote = shop.repo.git("ls-remote", "--tags", "origin").splitlines()
    return {
        "history": rows,
        "tags": sorted(line.partition("refs/tags/")[2] for line in remote if not line.endswith("^{}")),
        "local": sorted(shop.repo.git("tag").splitlines()),
        "smoking": docker("ps", "--all", "--quiet", "--filter", f"label=mainline.smoke={os.getpid()}"),
        "production": digest_of(shop, "production"),
    }


@pytest.mark.parametrize("image_name", ["killed"])
def test_release_killed_after_any_step_is_completed_by_the_next_run(
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
    # Another run changes nothing.
    must(run(shop))
    assert state(shop) == found


def test_next_smoke_test_removes_the_container_of_a_killed_one(shop: TeamRepository, base_image: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = docker("create", f"--label=mainline.smoke={ended.pid}", base_image, "true")
    must(run(shop))
    assert left[:12] not in docker("ps", "--all", "--quiet").split()


@pytest.mark.parametrize(("line", "image_name"), [("Building the image", "unbuilt"), ("Deploying", "shop")])
def test_release_killed_with_sigkill_can_be_run_again(shop: TeamRepository, line: str) -> None:
    shop.release()
    another(shop)
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, line], cwd=shop.repo.path, start_new_session=True,
        env={**_environment(), **shop.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert killed.wait() == -signal.SIGKILL
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 2)


# Kills its own process group with SIGKILL half a second after it began a step.
KILLED = """
import os, signal, sys, threading
from pipelines.cli.progress import Progress
step = Progress.step
def begun(self, what):
    if what == sys.argv[1]:
        threading.Timer(0.5, os.killpg, (0, signal.SIGKILL)).start()
    return step(self, what)
Progress.step = begun
from pipelines.__main__ import main
main(["release", "run"])
"""


def _environment() -> dict[str, str]:
    return {**os.environ, **quiet_environment()}
