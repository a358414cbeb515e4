"""Verb `tune`: search for parameters of a candidate, and write the best ones into params.yaml on a branch."""

import argparse
import math
import time

DEFAULT_TRIALS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the candidate and the budget."""
    parser.add_argument("candidate", help="its name in `candidates` of params.yaml")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--trials", type=int, metavar="N", help=f"trials in all ({DEFAULT_TRIALS})")
    budget.add_argument("--seconds", type=float, metavar="S", help="seconds of the whole search")


def run(arguments: argparse.Namespace) -> int:
    """Search, and make the branch."""
    started = time.monotonic()  # before the imports, which take seconds
    from pipelines.cli.errors import InputError
    from pipelines.tune.flow import tune

    trials, seconds = arguments.trials, arguments.seconds
    if trials is not None and trials < 1:
        raise InputError(f"TRIALS is {trials}", "Give 1 or more.")
    if seconds is not None and not 0 < seconds < math.inf:
        raise InputError(f"SECONDS is {seconds:g}", "Give a number above 0.")
    return tune(arguments.candidate, DEFAULT_TRIALS if trials is None and seconds is None else trials, seconds, started)
