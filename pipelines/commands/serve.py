"""Verb `serve`: serve the model of the work tree, with the same server as the image."""

import argparse
import os
import sys
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.params import load
from pipelines.repository import dvc_lock
from pipelines.repository.dvc import file_md5
from pipelines.repository.release_id import PARTS, worktree_release_id

FILE = Path(".mainline/serving.json")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process by the service; Ctrl-C ends it.

    Raises:
        InputError: if models/ has no model, or one that differs from dvc.lock.
    """
    params, md5s = load(), dvc_lock.outputs(dvc_lock.read())
    if any(not Path(part).is_file() or file_md5(Path(part)) != md5s.get(part) for part in PARTS):
        raise InputError("models/ does not contain the model of dvc.lock", "Run `make repro`, then `make serve`.")
    write_text(FILE, params.serving.to_json(worktree_release_id()))
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "3000"
    print(f"http://{host}:{port} (Ctrl-C ends it); its API: http://{host}:{port}/openapi.json", flush=True)
    environment = {**os.environ, "HOST": host, "PORT": port, "SERVING_JSON": str(FILE)}
    os.execve(sys.executable, [sys.executable, "-m", "serving"], environment)  # noqa: S606 - no shell
