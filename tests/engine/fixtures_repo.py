"""One small problem, reproduced once a test run and shared by all workers; each test works in a clone of its own.

Needs git and DVC. The clones share one DVC cache, so that a clone's first `dvc repro` runs nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testing.repository import (
    PARAMS,
    PROBLEM,
    ROOT,
    SMALL,
    CommandResult,
    Repo,
    copy_sources,
    merge,
    point_at_cache,
    quiet_environment,
)

__all__ = [
    "PARAMS",
    "PROBLEM",
    "ROOT",
    "SMALL",
    "CommandResult",
    "Repo",
    "copy_sources",
    "merge",
    "point_at_cache",
    "quiet_environment",
]


def _build(folder: Path) -> None:
    """Make the small problem: sources, data, one reproduction, all committed on main."""
    from tests.engine.in_process import must, reproduce, verb

    work = folder / "origin"
    work.mkdir(parents=True)
    copy_sources(work)
    shutil.rmtree(work / "tests/engine")  # 300 files that no test of a clone needs
    repo = Repo(work, folder / "cache")
    repo.git("init", "--quiet", "--initial-branch=main")
    repo.params(lambda document: merge(document, SMALL))
    point_at_cache(repo)
    must(verb(repo, "data"))
    reproduce(repo)
    repo.commit("the small problem")
    repo.git("gc", "--quiet")  # a clone has one file in place of each object


@pytest.fixture(scope="session")
def small_problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `origin` (a repository, reproduced and committed) and `cache`; built once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder, done = shared / "small-problem", shared / "small-problem.done"
    with (shared / "small-problem.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder)
            done.touch()
    return folder


@pytest.fixture
def repo(small_problem: Path, tmp_path: Path) -> Repo:
    """A clone on a branch of its own, with data and models in place: its next `dvc repro` runs nothing."""
    path = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(small_problem / "origin"), str(path)], check=True)
    clone = Repo(path, small_problem / "cache")
    point_at_cache(clone)
    # As `dvc checkout` would, without the seconds that it takes to start.
    for folder in ("data", "prepared", "models"):
        shutil.copytree(small_problem / "origin" / folder, path / folder, dirs_exist_ok=True)
    clone.git("checkout", "--quiet", "-b", "change")
    return clone
