"""The problems to measure, created once per run in a temporary folder from the files that git would commit."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.timing import THREADS, Show
from testing.repository import SMALL, CommandResult, Repo, copy_sources, merge, point_at_cache


class Problem:
    """The default problem, and a smaller one; each is created on first use.

    Attributes:
        folder: for files of subjects; removed at the end of the run.
    """

    def __init__(self, folder: Path, show: Show) -> None:
        self.folder = folder
        self._show = show

    @cached_property
    def default(self) -> Repo:
        """The default problem, reproduced and committed on main."""
        return self._reproduced(self._made("default", {}))

    @cached_property
    def small(self) -> Repo:
        """The smaller problem of the tests, reproduced and committed on main."""
        return self._reproduced(self._made("small", SMALL))

    def clone(self, origin: Repo, name: str = "clone") -> Repo:
        """A clone on a branch of its own, with data and models in place."""
        path = self.folder / f"{origin.path.name}-{name}"
        origin.git("clone", "--quiet", str(origin.path), str(path))
        clone = Repo(path, origin.cache)
        point_at_cache(clone)
        dvc(clone, "checkout", "--quiet")
        clone.git("checkout", "--quiet", "-b", "change")
        return clone

    def _made(self, name: str, changes: Mapping[str, Any]) -> Repo:
        repo = Repo(self.folder / name, self.folder / f"{name}-cache")
        repo.path.mkdir()
        copy_sources(repo.path)
        repo.git("init", "--quiet", "--initial-branch=main")
        repo.params(lambda document: merge(document, dict(changes)))
        point_at_cache(repo)
        self._show(f"Fetching the rows of the {name} problem")
        must(repo.verb("data"))
        return repo

    def _reproduced(self, repo: Repo) -> Repo:
        self._show(f"Reproducing the {repo.path.name} problem")
        must(repo.verb("repro", **threads()))
        repo.commit("reproduced")
        return repo


def dvc(repo: Repo, *arguments: str) -> CommandResult:
    """A DVC command that must succeed."""
    return must(repo.run("python", "-m", "dvc", *arguments, **threads()))


def threads() -> dict[str, str]:
    """Return the environment variables that limit a command to THREADS."""
    return {"OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": str(THREADS)}


def must(done: CommandResult) -> CommandResult:
    """Return the result of a command.

    Raises:
        RuntimeError: with its output, if it failed.
    """
    if done.code:
        raise RuntimeError(f"a command ended with {done.code}:\n{done.out}")
    return done
