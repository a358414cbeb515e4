"""Verb `review`: reproduce the head, compare it with the base on the same rows, judge, and write one report."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--base", help="revision to compare with (default: origin/main, or main without an origin)")
    parser.add_argument(
        "--locked", action="store_true", help="fail if dvc.lock and reports/ are not those of the commit's tree"
    )
    parser.add_argument(
        "--again", action="store_true", help="review anew even where nothing changed since the last time"
    )


def run(arguments: argparse.Namespace) -> int:
    """Review the work tree; 0 if it passes, 1 if a gate says no."""
    from pipelines.review.flow import review  # not named run, which is this function

    return review(base=arguments.base, again=arguments.again, locked=arguments.locked)
