"""Verb `update`: merge main into the branch, discard the generated files, reproduce, and commit the merge.

dvc.lock, metrics and plots conflict as soon as two branches change the model, and cannot be merged by hand.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import base_commit, branch, git, try_git


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--base", help="revision to merge (default: origin/main, or main without an origin)")


def run(arguments: argparse.Namespace) -> int:
    """Bring the branch up to date with the base."""
    progress = Progress()
    if arguments.base is None and try_git("remote", "get-url", "origin") is not None:
        with progress.step("Fetching main"):
            try_git("fetch", "--quiet", "origin", "main")
    name, base = base_commit(arguments.base)
    begun = _merging()
    if not begun:
        _merge(name, base)
    _refuse_other_conflicts(name, begun)
    _settle(base)
    if code := run_verb("repro", "--exact-data").returncode:
        return code
    git("add", "--all", "--", "dvc.lock", "reports")
    message = f"Merge {name} and reproduce the pipeline"
    if _merging() or git("diff", "--cached", "--name-only"):
        git("commit", "--quiet", "--no-verify", "-m", message)
        print(f"{branch()} is up to date with {name}; push it.")
    else:
        print(f"{branch()} was up to date with {name}.")
    return 0


def _merge(name: str, base: str) -> None:
    """Begin the merge; conflicts stay in the work tree for `_settle`.

    Raises:
        InputError: if the work tree has changes of its own.
    """
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        shown = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise InputError(
            f"the work tree has changes that are not committed: {shown}", "Commit them, then run `make update`."
        )
    try:
        git("merge", "--no-commit", "--no-ff", base)
    except subprocess.CalledProcessError as error:
        if not _conflicts():
            raise InputError(
                f"{name} cannot be merged: {(error.stderr or error.stdout).strip()}", "Fix it and run this again."
            ) from error


def _refuse_other_conflicts(name: str, begun: bool) -> None:
    """Refuse conflicts in files that are not generated; a merge that a person began stays as it is.

    Raises:
        Refused: naming the files.
    """
    left = [path for path in _conflicts() if not is_generated(path)]
    if not left:
        return
    if not begun:
        git("merge", "--abort")
    raise Refused(
        "merge these conflicts by hand:\n" + "\n".join(f"  {path}" for path in left),
        f"{'Merge them' if begun else f'Run `git merge {name}`, merge them'} and `git add` them, "
        "dvc.lock and reports/ left aside; then run `make update` again.",
    )


def _settle(base: str) -> None:
    """Take the base's generated files where both sides changed them; reproduction replaces them anyway."""
    for path in _conflicts():
        if try_git("cat-file", "-e", f"{base}:{path}") is None:
            git("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)
        else:
            git("checkout", "--quiet", base, "--", path)


def _conflicts() -> list[str]:
    return [path for path in git("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if path]


def _merging() -> bool:
    return Path(git("rev-parse", "--git-path", "MERGE_HEAD")).exists()
