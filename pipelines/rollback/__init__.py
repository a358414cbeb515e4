"""Verb `rollback`: revert what was merged since an earlier version, review it, and open the pull request."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options `--to` and `--why`."""
    parser.add_argument(
        "--to",
        metavar="TAG",
        # Also from the environment: the input of a workflow must not pass through a shell or make.
        default=os.environ.get("TO") or None,
        help="a version (fraud@v1.2.0) or an assignment (fraud#production#4); default: the version before this one",
    )
    parser.add_argument(
        "--why",
        metavar="TEXT",
        default=os.environ.get("WHY") or None,
        help="the reason, for the text of the pull request",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the rollback's branch and pull request."""
    from pipelines.rollback.flow import rollback

    return rollback(arguments.to, arguments.why)
