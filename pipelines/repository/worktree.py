"""A temporary worktree, in which a verb works on a commit without touching branch and files of the user."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.repository.git import git


@contextmanager
def temporary_worktree(commit: str, name: str = "worktree") -> Iterator[Path]:
    """Yield a temporary git worktree of a commit, which shares this repository's DVC cache and remote.

    Args:
        name: of its folder in .mainline/; a killed run's is replaced, and the end of another run's is waited for.
    """
    from dvc.config import Config
    from dvc.repo import Repo

    path = Path(".mainline", name).absolute()
    path.parent.mkdir(exist_ok=True)
    with path.with_name(f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would remove each other's worktree
        _remove_worktree(path)  # of a killed run
        git("worktree", "add", "--detach", "--force", str(path), commit)
        try:
            # DVC reads and writes its configuration, because it resolves relative paths against that one's folder.
            with Repo() as repo, Config(str(path / ".dvc"), validate=False).edit("local") as local:
                local.update(Config(str(Path(".dvc").absolute())).read())
                local["cache"]["dir"] = repo.cache.local_cache_dir
            yield path
        finally:
            _remove_worktree(path)


def _remove_worktree(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    git("worktree", "prune")
