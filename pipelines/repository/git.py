"""Read from git, by running git."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.cli.errors import InputError

# A verb that switches branches reproduces by itself, so it skips the hook that runs `dvc checkout` for people.
_ENVIRONMENT = {"GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "SKIP": "dvc-checkout"}


def git(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a git command and return its output without the last line end.

    Args:
        env: variables to add to the environment of this process.
        stdin: text for its standard input; without it, git inherits that of this process.

    Raises:
        subprocess.CalledProcessError: if git fails; its `stderr` holds no secret of a remote's address.
    """
    command, environment = ["git", *arguments], {**os.environ, **_ENVIRONMENT, **(env or {})}
    try:
        return subprocess.run(
            command, cwd=cwd, env=environment, input=stdin, check=True, capture_output=True, text=True, errors="replace"
        ).stdout.rstrip("\n")
    except subprocess.CalledProcessError as error:
        error.stderr = _remove_secrets(error.stderr)
        raise


def _remove_secrets(text: str) -> str:
    """Remove user names, passwords and queries from the addresses in a text.

    Git itself removes only passwords, and only from addresses that it understands; it keeps tokens in queries.
    """
    text = re.sub(r"://[^\s']*@", "://", text)
    return re.sub(r"(://[^\s'?]*)\?[^\s']*", r"\1", text)


def try_git(*arguments: str, cwd: Path | None = None) -> str | None:
    """Run a git command and return its output, or None if git fails."""
    try:
        return git(*arguments, cwd=cwd)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def has_origin() -> bool:
    """Return whether the repository has a remote named origin."""
    return try_git("remote", "get-url", "origin") is not None


def commit_of(revision: str) -> str | None:
    """Return the commit that a revision names, or None."""
    # After --end-of-options git takes a revision that begins with a dash for a name, not for an option.
    return try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def resolve_commit(revision: str) -> str:
    """Return the commit that a revision names; InputError if there is none."""
    if commit := commit_of(revision):
        return commit
    raise InputError(f"there is no commit {revision!r}", "Name a commit that `git log` shows.")


def text_at(revision: str, path: str) -> str | None:
    """Return a file's text at a revision, or None if the file does not exist there."""
    return try_git("show", "--end-of-options", f"{revision}:{path}")


def past_texts(revision: str, path: str, most: int) -> Iterator[str]:
    """Yield a file's texts, newest first, that a branch had: of commits merged into it only the last counts."""
    commits = try_git(
        "log", "--first-parent", "--format=%H", f"--max-count={most}", "--end-of-options", revision, "--", path
    )
    yield from filter(None, (text_at(commit, path) for commit in (commits or "").splitlines()))


def object_at(revision: str, path: str) -> str | None:
    """Return the hash of a file's blob or a folder's tree at a revision, or None."""
    return try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}:{path}")


def base_commit(revision: str | None) -> tuple[str, str]:
    """Return the name and the commit of a review's base.

    Args:
        revision: by default origin/main, or main in a repository without origin.

    Raises:
        InputError: if there is no repository, no commit, or no such base.
    """
    if try_git("rev-parse", "--git-dir") is None:
        raise InputError("this is not a git repository", "Clone it with git; a review compares commits.")
    if commit_of("HEAD") is None:
        raise InputError("the repository has no commit yet", "Commit first: `git add -A && git commit`.")
    name = revision or ("origin/main" if has_origin() else "main")
    if commit := commit_of(name):
        return name, commit
    fetch = "`git fetch origin main`, or name" if has_origin() else "Name"
    raise InputError(f"there is no base {name!r} to compare with", f"{fetch} another one: `make review BASE=REVISION`.")


def branch() -> str:
    """Return the current branch, or `detached`."""
    return try_git("symbolic-ref", "--short", "--quiet", "HEAD") or "detached"


def dirty() -> list[str]:
    """Return the paths that differ from HEAD in the work tree, including untracked files and folders."""
    # Without -z git puts names with blanks or accents in quotes.
    changed = git("diff", "--name-only", "-z", "HEAD")
    untracked = git("ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z")
    return [path for path in (changed + untracked).split("\0") if path]


def write_files(tree: str, folder: Path) -> None:
    """Write the files of a tree into a folder, which git makes."""
    with tempfile.TemporaryDirectory() as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git("read-tree", tree, env=env)
        git("checkout-index", "--all", f"--prefix={folder.absolute()}/", env=env)


def tree_of_worktree(paths: list[str]) -> str:
    """Write a tree like HEAD's, with `paths` as they are in the work tree; index and branch do not change."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=env)
        known = [path for path in paths if Path(path).exists() or object_at("HEAD", path)]
        git("add", "--all", "--", *known, env=env)
        return git("write-tree", env=env)
