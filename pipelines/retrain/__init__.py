"""Verb `retrain`: retrain on newer rows on a branch, review it, and open or update its pull request."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option `--why`."""
    parser.add_argument(
        "--why",
        metavar="TEXT",
        # Also from the environment: the input of a workflow must not pass through a shell or make.
        default=os.environ.get("WHY") or "Scheduled retraining.",
        help="the reason, for the text of the pull request",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the retraining's branch and pull request."""
    from pipelines.retrain.flow import retrain

    return retrain(arguments.why)
