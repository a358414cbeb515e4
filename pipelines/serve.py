"""Verb `serve`: the service on the model of the work tree, as its image runs it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipelines import config, lock, served
from pipelines.errors import InputError
from pipelines.files import write_text
from pipelines.identity import PARTS, worktree_release_id
from pipelines.reproduce import file_md5

FILE = Path(".mainline/serving.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb takes no options."""


def run(arguments: argparse.Namespace) -> int:
    """Become the service; Ctrl-C ends it.

    Raises:
        InputError: if models/ has no model, or another one than dvc.lock names.
    """
    params, named = config.load(), lock.outputs(lock.read())
    if any(not Path(part).is_file() or file_md5(Path(part)) != named.get(part) for part in PARTS):
        raise InputError("models/ does not hold the model of dvc.lock", "Run `make repro`, then `make serve`.")
    write_text(FILE, served.text(worktree_release_id(), params.serving))
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "3000"
    print(f"http://{host}:{port} (Ctrl-C ends it); what it takes: http://{host}:{port}/openapi.json", flush=True)
    environment = {**os.environ, "HOST": host, "PORT": port, "SERVING_JSON": str(FILE)}
    os.execve(sys.executable, [sys.executable, "-m", "serving"], environment)  # noqa: S606 - no shell
