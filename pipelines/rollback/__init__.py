"""Verb `rollback`: revert what was merged since an earlier release, review it, and open the pull request."""

from __future__ import annotations

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--to",
        metavar="TAG",
        # From the environment too: a workflow's input must pass through no shell and no make.
        default=os.environ.get("TO") or None,
        help="a version (fraud@v1.2.0) or an assignment (fraud#production#4); by default the release before this one",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the rollback's branch and pull request."""
    from pipelines.rollback.flow import rollback

    return rollback(arguments.to)
