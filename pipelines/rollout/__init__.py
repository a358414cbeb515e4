"""Verb `rollout`: a release first gets a share of the requests, and is judged before it gets all."""

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options `--watch` and `--abort`."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--watch", action="store_true", help="judge the canary of this host until it ends; `reconcile` starts it"
    )
    choice.add_argument(
        "--abort",
        metavar="WHY",
        # Also from the environment: the input of a workflow must not pass through a shell or make.
        default=os.environ.get("ABORT") or None,
        help="end the canary, and open the pull request of its revert",
    )


def run(arguments: argparse.Namespace) -> int:
    """Watch this host's canary, or do the next step of the rollout in git."""
    from pipelines.config.params import load
    from pipelines.deployment.host import Host
    from pipelines.rollout.advance import abort, advance
    from pipelines.rollout.counters import SCORE_BINS
    from pipelines.rollout.watch import watch

    params = load()
    if arguments.watch:
        host = Host.of_rollout(params)
        return watch(host, params.rollout, SCORE_BINS[params.task]) if host and params.rollout else 0
    return abort(params.model_name, arguments.abort) if arguments.abort else advance(params)
