"""Verb `publish`: in CI, write a review to GitHub: the bot commit, its check, and one sticky comment.

Its job has write permissions and runs the base's code. The review's job runs the pull request's code, so its artifact
is read as data only.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("folder", nargs="?", type=Path, help="the review's artifact, unpacked")
    parser.add_argument("--outcome", default="", help="how the step `review` of the review's job ended")
    source.add_argument("--fork", action="store_true", help="post the report of a fork's run, read from GitHub's API")


def run(arguments: argparse.Namespace) -> int:
    """Publish, or print why nothing is published."""
    from pipelines.publish.flow import publish, publish_fork

    return publish_fork() if arguments.fork else publish(arguments.folder, arguments.outcome)
