"""Verb `tune`: search for parameters of a candidate, and write the best ones into params.yaml on a branch."""

import argparse

DEFAULT_TRIALS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the candidate and the budget."""
    parser.add_argument("candidate", help="its name in `candidates` of params.yaml")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--trials", type=int, metavar="N", help=f"trials in all ({DEFAULT_TRIALS})")
    budget.add_argument("--seconds", type=float, metavar="S", help="seconds of all trials together")


def run(arguments: argparse.Namespace) -> int:
    """Search, and make the branch."""
    from pipelines.tune.flow import tune

    trials = arguments.trials or (None if arguments.seconds else DEFAULT_TRIALS)
    return tune(arguments.candidate, trials, arguments.seconds)
