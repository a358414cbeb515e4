"""The bot commit: push generated files on top of the reviewed commit, and never overwrite a newer push."""

import subprocess
import tempfile
from pathlib import Path

from pipelines.cli.errors import Refused, Unreachable
from pipelines.repository import origin
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import git, try_git

MESSAGE = "Reproduce the pipeline\n\ndvc.lock and reports/ as the review of {sha} made them."


class Superseded(Exception):
    """The branch has a newer commit or was deleted, so the results of this run are outdated."""


def push_bot_commit(branch: str, sha: str, files: dict[str, bytes]) -> str:
    """Commit generated files on top of a reviewed commit, and push it to its branch.

    With the token of an app, the push starts a review of the new commit. If that review gives other files again, the
    pipeline is not reproducible, and a further commit would start the next review, without an end.

    A repeated run finds the commit that an earlier run pushed.

    Args:
        branch: name of the branch; untrusted text, used only as part of a full ref name.
        sha: the reviewed commit.
        files: path -> content of all generated files of the new commit.

    Returns:
        The commit with the files; `sha` if nothing differs.

    Raises:
        Refused: if the reviewed commit is itself a bot commit, and other files differ from it.
        Superseded: if the branch is neither at `sha` nor at the bot commit of an earlier run.
        Unreachable: if origin does not respond, or does not accept the commit.
    """
    ref = f"refs/heads/{branch}"
    origin.fetch(sha)
    tree = _write_tree(sha, files)
    if tree == git("rev-parse", f"{sha}^{{tree}}"):
        return sha
    if git("show", "--no-patch", "--format=%B", sha) == MESSAGE.format(sha=try_git("rev-parse", f"{sha}^")):
        raise Refused(
            f"the pipeline is not reproducible: {sha[:12]} has what one review made, and the next made other files",
            "Fix every random seed that the candidates use, then push.",
        )
    tip = origin.read_ref(ref)
    if tip is None:
        raise Superseded(f"branch {branch!r} was deleted")
    if tip != sha:
        origin.fetch(tip)
        if git("rev-parse", f"{tip}^{{tree}}") == tree and try_git("rev-parse", f"{tip}^") == sha:
            return tip
        raise Superseded(f"branch {branch!r} moved to {tip[:12]} meanwhile")
    # With the date of the reviewed commit, two runs at once make the same commit.
    dates = {name: git("show", "--no-patch", "--format=%cI", sha) for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    commit = git("commit-tree", tree, "-p", sha, "-m", MESSAGE.format(sha=sha), env=origin.BOT | dates)
    try:
        origin.run_git("push", "--quiet", "origin", f"{commit}:{ref}")
    except subprocess.CalledProcessError as error:
        tip = origin.read_ref(ref)
        if tip not in (sha, commit):
            raise Superseded(f"branch {branch!r} moved meanwhile") from error
        if tip == sha:
            reason = " ".join((error.stderr or "").strip().splitlines()[-1:])
            remedy = "Fix the branch's rules, then run the job again."
            raise Unreachable(f"the bot commit cannot be pushed: {reason}", remedy) from error
    return commit


def _write_tree(sha: str, files: dict[str, bytes]) -> str:
    """Write the tree of a commit with `files` as its generated files; return the tree's hash."""
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
