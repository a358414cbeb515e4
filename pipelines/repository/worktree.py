"""A temporary worktree, in which a verb works on a commit without touching branch and files of the user."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.repository.git import git


@contextmanager
def temporary_worktree(commit: str, name: str = "worktree") -> Iterator[Path]:
    """Yield a temporary git worktree of a commit, which shares this repository's DVC cache and remote.

    Args:
        name: of its folder in .mainline/; an older worktree of that name is replaced.
    """
    from dvc.config import Config
    from dvc.repo import Repo

    path = Path(".mainline", name).absolute()
    _remove_worktree(path)  # of a killed run
    git("worktree", "add", "--detach", "--force", str(path), commit)
    try:
        # DVC reads and writes its configuration, because it resolves relative paths against the configuration's folder.
        with Repo() as repo, Config(str(path / ".dvc"), validate=False).edit("local") as local:
            local.update(Config(str(Path(".dvc").absolute())).read())
            local["cache"]["dir"] = repo.cache.local_cache_dir
        yield path
    finally:
        _remove_worktree(path)


def _remove_worktree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    git("worktree", "prune")
