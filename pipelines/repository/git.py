"""Read from git, by running git."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from pipelines.cli.errors import InputError


def git(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str | None = None) -> str:
    """Output of a git command, without the last line end.

    Args:
        env: variables to add to the environment of this process.
        stdin: text for its standard input; without it, git inherits that of this process.

    Raises:
        subprocess.CalledProcessError: if git fails; its `stderr` holds no secret of a remote's address.
    """
    # A verb that switches branches reproduces by itself, so it skips the hook that runs `dvc checkout` for people.
    own = {"GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "SKIP": "dvc-checkout"}
    environment = {**os.environ, **own, **(env or {})}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=environment,
            input=stdin,
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.CalledProcessError as error:
        error.stderr = _without_secrets(error.stderr)
        raise
    return done.stdout.rstrip("\n")


def _without_secrets(text: str) -> str:
    """Remove user names, passwords and queries from the addresses in a text.

    Git itself removes only passwords, and only from addresses that it understands; it keeps tokens in queries.
    """
    text = re.sub(r"://[^\s']*@", "://", text)
    return re.sub(r"(://[^\s'?]*)\?[^\s']*", r"\1", text)


def try_git(*arguments: str, cwd: Path | None = None) -> str | None:
    """Output of a git command, or None if git fails."""
    try:
        return git(*arguments, cwd=cwd)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def commit_of(revision: str) -> str | None:
    """The commit that a revision names, or None."""
    # Behind --end-of-options a revision that begins with a dash is a name, not an option.
    return try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def text_at(revision: str, path: str) -> str | None:
    """A file's text at a revision, or None where it is not there."""
    return try_git("show", "--end-of-options", f"{revision}:{path}")


def object_at(revision: str, path: str) -> str | None:
    """The hash of a file's blob or a folder's tree at a revision, or None."""
    return try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}:{path}")


def base_commit(asked: str | None) -> tuple[str, str]:
    """The base of a review: its name and commit.

    Args:
        asked: a revision; by default origin/main, or main where there is no origin.

    Raises:
        InputError: without a repository, a commit, or such a base.
    """
    if try_git("rev-parse", "--git-dir") is None:
        raise InputError("this is not a git repository", "Clone it with git; a review compares commits.")
    if commit_of("HEAD") is None:
        raise InputError("the repository has no commit yet", "Commit first: `git add -A && git commit`.")
    has_origin = try_git("remote", "get-url", "origin") is not None
    name = asked or ("origin/main" if has_origin else "main")
    commit = commit_of(name)
    if commit is None:
        fetch = "`git fetch origin main`, or name" if has_origin else "Name"
        raise InputError(
            f"there is no base {name!r} to compare with", f"{fetch} another one: `make review BASE=REVISION`."
        )
    return name, commit


def branch() -> str:
    """The current branch, or `detached`."""
    return try_git("symbolic-ref", "--short", "--quiet", "HEAD") or "detached"


def dirty() -> list[str]:
    """Paths that differ from HEAD in the work tree, untracked ones included."""
    # Without -z git puts names with blanks or accents in quotes.
    entries = iter(git("status", "--porcelain", "-z", "--untracked-files=normal").split("\0"))
    paths = []
    for entry in filter(None, entries):
        paths.append(entry[3:])
        if "R" in entry[:2] or "C" in entry[:2]:
            next(entries)  # the name that it had before
    return paths


def tree_of_worktree(paths: list[str]) -> str:
    """A tree like HEAD's, with `paths` as they are in the work tree now; neither index nor branch are touched."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=env)
        present = [path for path in paths if Path(path).exists() or object_at("HEAD", path)]
        git("add", "--all", "--", *present, env=env)
        return git("write-tree", env=env)
