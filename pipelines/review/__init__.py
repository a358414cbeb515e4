"""Verb `review`: reproduce the head, compare it with the base on the same rows, evaluate the gates, write a report."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--base", help="revision to compare with (default: origin/main, or main without an origin)")
    parser.add_argument(
        "--again", action="store_true", help="write a new report even if nothing changed since the last review"
    )


def run(arguments: argparse.Namespace) -> int:
    """Review the work tree; 0 if every gate passed, 1 if one failed."""
    from pipelines.review.flow import review  # not named run, which is this function

    return review(base=arguments.base, again=arguments.again)
