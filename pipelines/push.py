"""Verb `push`: the outputs of dvc.lock and the rows of data.dvc to the DVC remote, so that others need not run them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from pipelines.errors import InputError, Unreachable
from pipelines.reproduce import dvc_environment, has_remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb takes no options."""


def run(arguments: argparse.Namespace) -> int:
    """Push what is not there yet.

    Raises:
        InputError: if no remote is set.
        Unreachable: if it takes nothing.
    """
    from pipelines.ingest.remote import from_environment

    from_environment(Path())
    if not has_remote():
        raise InputError("no DVC remote is set", "Set DVC_REMOTE_URL, for instance to s3://bucket/path.")
    # Without the run-cache: it would let what a branch ran decide what main takes for done.
    command = [sys.executable, "-m", "dvc", "push"]
    done = subprocess.run(command, env=dvc_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")] or [
            "no reason given"
        ]
        raise Unreachable(
            f"nothing could be pushed: {said[0].removeprefix('ERROR: ')}", "Mend the remote and run `make push` again."
        )
    print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "Everything is there.")
    return 0
