"""Verb `repro`: fetch the data, run the stages that changed, and check every output."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options `--report`, `--exact-data`, `--anew` and `--stage`."""
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write stages, notes and the error to FILE as JSON, for other verbs"
    )
    parser.add_argument(
        "--exact-data", action="store_true", help="fail if data/ does not hold the rows that data.dvc names"
    )
    parser.add_argument(
        "--anew", action="store_true", help="run every stage, and take no output from the run-cache or the remote"
    )
    parser.add_argument("--stage", metavar="NAME", help="run this stage and those that it needs, and check no output")


def run(arguments: argparse.Namespace) -> int:
    """Reproduce the work tree."""
    from pipelines.reproduce.flow import reproduce_worktree

    return reproduce_worktree(arguments.report, arguments.exact_data, arguments.anew, arguments.stage)
