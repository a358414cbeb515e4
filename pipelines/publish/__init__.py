"""Verb `publish`: write a review in CI to GitHub: the bot commit, its check, and one sticky comment.

It has write permissions and runs the base's code. The review's job runs the pull request's code, so that its artifact
is read as data only.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("folder", nargs="?", type=Path, help="the review's artifact, unpacked")
    parser.add_argument("--fork", action="store_true", help="post the report of a fork's run, read from GitHub's API")


def run(arguments: argparse.Namespace) -> int:
    """Publish, or print why nothing is published."""
    from pipelines.cli.errors import InputError
    from pipelines.publish.flow import publish, publish_fork

    if arguments.fork == (arguments.folder is not None):
        raise InputError("publish needs either the artifact's folder or --fork", "See .github/workflows/ for both.")
    return publish_fork() if arguments.fork else publish(arguments.folder)
