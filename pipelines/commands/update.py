"""Verb `update`: merge main into the branch, discard the generated files, reproduce, and commit the merge.

dvc.lock, metrics and plots conflict as soon as two branches change the model, and cannot be merged by hand.
"""

import argparse
import subprocess
from pathlib import Path

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.repository.dvc_lock import is_generated
from pipelines.repository.git import base_commit, branch, git, object_at, try_git


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--base", help="revision to merge (default: origin/main, or main without an origin)")


def run(arguments: argparse.Namespace) -> int:
    """Merge the base into the branch, reproduce the pipeline, and commit.

    Raises:
        InputError: if the work tree has uncommitted changes, or git cannot merge the base.
        Refused: if files conflict that the pipeline does not generate.
    """
    if arguments.base is None and try_git("remote", "get-url", "origin") is not None:
        with Progress().step("Fetching main"):
            try_git("fetch", "--quiet", "origin", "main")
    name, base = base_commit(arguments.base)
    was_merging = _is_merging()
    if not was_merging:
        _start_merge(name, base)
    _refuse_other_conflicts(name, was_merging)
    # Reproduction replaces the generated files anyway, whichever side they come from.
    for path in _list_conflicts():
        if object_at(base, path) is None:
            git("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)
        else:
            git("checkout", "--quiet", base, "--", path)
    if code := run_verb("repro", "--exact-data").returncode:
        return code
    git("add", "--all", "--", "dvc.lock", "reports")
    if _is_merging() or git("diff", "--cached", "--name-only"):
        git("commit", "--quiet", "--no-verify", "-m", f"Merge {name} and reproduce the pipeline")
        print(f"{branch()} is up to date with {name}; push it.")
    else:
        print(f"{branch()} was up to date with {name}.")
    return 0


def _start_merge(name: str, base: str) -> None:
    """Start a merge; conflicts stay in the work tree."""
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        paths = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise InputError(
            f"the work tree has changes that are not committed: {paths}", "Commit them, then run `make update`."
        )
    try:
        git("merge", "--no-commit", "--no-ff", base)
    except subprocess.CalledProcessError as error:
        if not _list_conflicts():
            reason = (error.stderr or error.stdout).strip()
            raise InputError(f"{name} cannot be merged: {reason}", "Fix it and run this again.") from error


def _refuse_other_conflicts(name: str, was_merging: bool) -> None:
    """Refuse conflicts in files that are not generated; a merge that a person started stays as it is."""
    paths = [path for path in _list_conflicts() if not is_generated(path)]
    if not paths:
        return
    if not was_merging:
        git("merge", "--abort")
    raise Refused(
        "merge these conflicts by hand:\n" + "\n".join(f"  {path}" for path in paths),
        f"{'Merge them' if was_merging else f'Run `git merge {name}`, merge them'} and `git add` them "
        "(not dvc.lock and reports/), then run `make update` again.",
    )


def _list_conflicts() -> list[str]:
    return [path for path in git("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if path]


def _is_merging() -> bool:
    return Path(git("rev-parse", "--git-path", "MERGE_HEAD")).exists()
