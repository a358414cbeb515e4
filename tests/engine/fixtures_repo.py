"""One small problem and a quick one, reproduced once a test run; each test works in a clone of its own.

Needs git and DVC. The clones share one DVC cache, so that a clone's first `dvc repro` runs nothing.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
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


def _build_quick(small_problem: Path, folder: Path) -> None:
    """Make the quick problem of the small one: main has one candidate, and gates need few resamples."""
    from tests.engine.in_process import reproduce

    folder.mkdir()
    quick = clone_of(small_problem, folder / "clone", small_problem / "cache")
    quick.params(lambda document: document.update(candidates={"boosting": document["candidates"]["boosting"]}))
    quick.params(lambda document: document["gates"].update(resamples=100))
    reproduce(quick)
    quick.commit("the quick problem")
    quick.git("branch", "--force", "main")


def _made_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """A folder that is built once for all workers."""
    shared = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def small_problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `origin` (a repository, reproduced and committed) and `cache`."""
    return _made_once(tmp_path_factory, "small-problem", _build)


@pytest.fixture(scope="session")
def quick_problem(small_problem: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `clone`, in which main is the quick problem; its cache is the small problem's."""
    return _made_once(tmp_path_factory, "quick-problem", partial(_build_quick, small_problem))


def clone_of(small_problem: Path, path: Path, cache: Path) -> Repo:
    """A clone on a branch of its own, with data and models in place: its next `dvc repro` runs nothing."""
    subprocess.run(["git", "clone", "--quiet", str(small_problem / "origin"), str(path)], check=True)
    clone = Repo(path, cache)
    point_at_cache(clone)
    # As `dvc checkout` would, without the seconds that it takes to start.
    for folder in ("data", "prepared", "models"):
        shutil.copytree(small_problem / "origin" / folder, path / folder, dirs_exist_ok=True)
    clone.git("checkout", "--quiet", "-b", "change")
    return clone


@pytest.fixture
def repo(small_problem: Path, tmp_path: Path) -> Repo:
    """A clone of the small problem."""
    return clone_of(small_problem, tmp_path / "clone", small_problem / "cache")


@pytest.fixture
def quick(quick_problem: Path, small_problem: Path, tmp_path: Path) -> Repo:
    """The same of the quick problem, for tests that train again: that takes a fraction of the small problem's time."""
    path = Path(shutil.copytree(quick_problem / "clone", tmp_path / "clone", symlinks=True))
    return Repo(path, small_problem / "cache")
