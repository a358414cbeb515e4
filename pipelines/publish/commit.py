"""The bot commit: generated files onto the reviewed commit, by git's plumbing; never over somebody's newer push."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.repository import origin
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import git, try_git

MESSAGE = "Reproduce the pipeline\n\ndvc.lock and reports/ as the review of {sha} made them."


class Superseded(Exception):
    """Somebody pushed meanwhile, or the branch is gone: this run's results belong to nothing any more."""


def push(branch: str, sha: str, files: dict[str, bytes]) -> str:
    """Put generated files onto a reviewed commit and push it to its branch.

    Run again after a kill, it finds the commit that the first run pushed.

    Args:
        branch: name of the branch; an untrusted text, and only ever part of a full ref name.
        sha: the reviewed commit.
        files: path -> content; of the generated files exactly these will be there.

    Returns:
        The commit that carries them: `sha` itself where nothing differs.

    Raises:
        Superseded: if the branch is neither at `sha` nor at such a commit on it.
        Unreachable: if origin cannot be asked, or does not take the commit.
    """
    ref = f"refs/heads/{branch}"
    origin.fetch(sha)
    tree = _tree(sha, files)
    if tree == git("rev-parse", f"{sha}^{{tree}}"):
        return sha
    tip = origin.tip(ref)
    if tip not in (None, sha):
        origin.fetch(str(tip))
        if git("rev-parse", f"{tip}^{{tree}}") == tree and try_git("rev-parse", f"{tip}^") == sha:
            return str(tip)
        raise Superseded(f"{branch!r} moved to {str(tip)[:12]} meanwhile")
    if tip is None:
        raise Superseded(f"{branch!r} is gone")
    # The date of the reviewed commit: pushed twice at once, both are the same commit.
    dates = {name: git("show", "--no-patch", "--format=%cI", sha) for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    commit = git("commit-tree", tree, "-p", sha, "-m", MESSAGE.format(sha=sha), env=origin.BOT | dates)
    try:
        origin.call("push", "--quiet", "origin", f"{commit}:{ref}")
    except subprocess.CalledProcessError as error:
        if origin.tip(ref) == commit:
            return commit
        if origin.tip(ref) != sha:
            raise Superseded(f"{branch!r} moved meanwhile") from error
        reason = (error.stderr or "").strip().splitlines()[-1:]
        raise Unreachable(
            f"the bot commit cannot be pushed: {' '.join(reason)}", "Mend the branch's rules and run the job again."
        ) from error
    return commit


def _tree(sha: str, files: dict[str, bytes]) -> str:
    """The tree of a commit with its generated files replaced by these."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", sha, env=env)
        for path in git("ls-files", "-z", "--", "dvc.lock", "reports", env=env).split("\0"):
            if path and is_generated(path) and path not in files:
                git("update-index", "--force-remove", "--", path, env=env)
        for path, content in files.items():
            scratch = Path(folder) / "content"
            scratch.write_bytes(content)
            blob = git("hash-object", "-w", "--no-filters", "--", str(scratch))
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
        return git("write-tree", env=env)
