"""Verb `release`: for now its identity, `python -m pipelines release id`."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    identity = actions.add_parser("id", help="print the release identity of a commit")
    identity.add_argument("--rev", default="HEAD", help="the commit (default: HEAD)")


def run(arguments: argparse.Namespace) -> int:
    """Print the identity of the revision.

    Raises:
        InputError: if there is no such revision, or nothing to release in it.
    """
    from pipelines.errors import InputError
    from pipelines.git import commit_of
    from pipelines.identity import release_id

    commit = commit_of(arguments.rev)
    if commit is None:
        raise InputError(f"there is no commit {arguments.rev!r}", "Name one that `git log` shows.")
    print(release_id(commit))
    return 0
