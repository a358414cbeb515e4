"""Verb `push`: push the outputs of dvc.lock and the rows of data.dvc to the DVC remote for others."""

import argparse
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.repository.dvc import dvc_or_fail
from pipelines.repository.dvc_remote import default_remote, set_remote_from_environment


def run(arguments: argparse.Namespace) -> int:
    """Push what the remote does not have yet.

    Raises:
        InputError: if no remote is set.
        Unreachable: if the push fails.
    """
    set_remote_from_environment(Path())
    if not default_remote():
        raise InputError("no DVC remote is set", "Set DVC_REMOTE_URL, for instance to s3://bucket/path.")
    # Without the run-cache, in which main would find the results of stages that a branch ran.
    print(dvc_or_fail(Path(), "push", remedy="Fix the remote and run `make push` again."))
    return 0
