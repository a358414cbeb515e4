"""Verb `check-lock`: fail unless the commit holds the generated files that its tree gives.

Run after a review, which reproduced the pipeline. Otherwise a commit could be merged whose dvc.lock names another model
than the one that was reviewed.
"""

import argparse

from pipelines.cli.errors import Refused
from pipelines.repository import dvc_lock, git

MAX_NAMED = 8
BY_HAND = "Run `make update` on the branch and push; a maintainer can do that for a fork or for Dependabot."
BY_BOT = "Nothing to do: the job `publish` commits them to the branch, and its commit gets the checks."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--bot", action="store_true", help="print that the job `publish` commits the files")


def run(arguments: argparse.Namespace) -> int:
    """Compare the generated files of the work tree with HEAD.

    Raises:
        Refused: if they differ, with their names and what to do.
    """
    # A .gitignore in reports/ would hide a file that the commit lacks: also those that git ignores.
    untracked = git.git("ls-files", "--others", "-z", "--", str(dvc_lock.PATH), "reports").split("\0")
    changed = sorted({path for path in [*git.dirty(), *untracked] if dvc_lock.is_generated(path)})
    if changed:
        more = f" and {len(changed) - MAX_NAMED} more" if len(changed) > MAX_NAMED else ""
        raise Refused(
            f"generated files of the commit differ from what its tree gives: {', '.join(changed[:MAX_NAMED])}{more}",
            BY_BOT if arguments.bot else BY_HAND,
        )
    return 0
