"""Verb `publish`: what a review in CI leaves on GitHub: the bot commit, the check on it, and one sticky comment.

It runs with rights, from the base's code; what the review's job (the pull request's code) handed over is data to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("folder", nargs="?", type=Path, help="the review's artifact, unpacked")
    parser.add_argument("--fork", action="store_true", help="post the report of a fork's run, by the API")


def run(arguments: argparse.Namespace) -> int:
    """Publish, or say why there is nothing to publish any more."""
    from pipelines.cli.errors import InputError
    from pipelines.publish import flow  # not named run, which is this function

    if arguments.fork == (arguments.folder is not None):
        raise InputError("give either the artifact's folder or --fork", "See .github/workflows/ for both.")
    return flow.publish_fork() if arguments.fork else flow.publish(arguments.folder)
