"""Commit params.yaml with other values on a branch, without a change to the work tree."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cli.errors import Refused
from pipelines.config.edit import with_value
from pipelines.config.params import parse
from pipelines.config.read import PATH
from pipelines.repository import origin
from pipelines.repository.git import commit_of, git, object_at, try_git
from pipelines.tune.space import path_of


def title_of(candidate: str) -> str:
    """Return the first line of the commit."""
    return f"Tune {candidate}"


def commit_values(candidate: str, values: Mapping[str, Any], body: str) -> str:
    """Commit the values on the branch `tune-CANDIDATE`, which begins at HEAD, and return the branch's name.

    A branch of an earlier search is replaced.

    Raises:
        InputError: if a value cannot be set in params.yaml.
        Refused: if the branch holds other commits, or is checked out.
    """
    branch, title = f"tune-{candidate}", title_of(candidate)
    require_own_branch(candidate)
    text = PATH.read_text(encoding="utf-8")
    for key, value in values.items():
        text = with_value(text, ("candidates", candidate, *path_of(key)), value)
    parse(text)
    if has_uncommitted_changes():
        body += f"\n\nIt also holds the changes of {PATH} that were not committed when the search ended."
    blob = git("hash-object", "-w", "--stdin", stdin=text)
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", env=env)
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},{PATH}", env=env)
        tree = git("write-tree", env=env)
    if tree == object_at(branch, "") and commit_of(f"{branch}^") == commit_of("HEAD"):
        return branch
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", title, "-m", body, env=origin.author())
    try:
        git("branch", "--force", branch, commit)
    except subprocess.CalledProcessError as error:
        raise Refused(
            f"the branch {branch} cannot be moved: {error.stderr.strip()}", "Check out another one."
        ) from error
    return branch


def has_uncommitted_changes() -> bool:
    """Return whether params.yaml differs from HEAD: the commit then holds its changes, too."""
    return try_git("diff", "--quiet", "HEAD", "--", str(PATH)) is None


def require_own_branch(candidate: str) -> None:
    """Raise Refused if the branch is checked out, or holds commits that are neither on HEAD nor of a search."""
    branch = f"tune-{candidate}"
    if f"branch refs/heads/{branch}" in (try_git("worktree", "list", "--porcelain") or "").splitlines():
        raise Refused(f"the branch {branch} cannot be moved: it is checked out", "Check out another one.")
    titles = (try_git("log", "--format=%s", f"HEAD..{branch}", "--") or "").splitlines()
    if foreign := [title for title in titles if title != title_of(candidate)]:
        raise Refused(
            f"the branch {branch} holds other commits: {foreign[0]}", f"Merge, move or delete {branch}, and run again."
        )
