"""Verb `monitor`: judge the predictions and labels of production since the last pass."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options `--acknowledge`, `--act` and `--history`."""
    parser.add_argument(
        "--acknowledge",
        metavar="WHY",
        # Also from the environment: the input of a workflow must not pass through a shell or make.
        default=os.environ.get("ACKNOWLEDGE") or None,
        help="accept what the newest passes found as the new normal, for this reason",
    )
    parser.add_argument(
        "--act", action="store_true", help="update the issues, send the message, start a retraining or a rollback"
    )
    parser.add_argument(
        "--history",
        metavar="VERSION",
        nargs="?",
        const="",
        help="print the passes of a version, or of all, as JSON, and judge nothing",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the passes that are due, and print the verdict."""
    from pipelines.monitor.flow import monitor, print_history

    if arguments.history is not None:
        return print_history(arguments.history or None)
    return monitor(arguments.acknowledge, arguments.act)
