"""Verb `monitor`: judge the predictions and labels of production since the last pass."""

from __future__ import annotations

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option `--acknowledge`."""
    parser.add_argument(
        "--acknowledge",
        metavar="WHY",
        # Also from the environment: the input of a workflow must not pass through a shell or make.
        default=os.environ.get("ACKNOWLEDGE") or None,
        help="accept what the newest pass found as the new normal, for this reason",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the passes that are due, and print the verdict."""
    from pipelines.monitor.flow import monitor

    return monitor(arguments.acknowledge)
