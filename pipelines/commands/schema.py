"""Verb `schema`: the JSON schema of params.yaml, which the file's first line points editors to."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipelines.cli.errors import Refused
from pipelines.cli.files import write_text
from pipelines.config.params import json_schema

PATH = Path("params.schema.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--write", action="store_true", help=f"write {PATH}")
    parser.add_argument("--check", action="store_true", help=f"fail if {PATH} is not current")


def text() -> str:
    """Return the schema as the committed file has it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def run(arguments: argparse.Namespace) -> int:
    """Print, write or check the schema.

    Raises:
        Refused: if the committed file is not current.
    """
    if arguments.write:
        write_text(PATH, text())
    elif not arguments.check:
        print(text(), end="")
    elif not PATH.is_file() or PATH.read_text(encoding="utf-8") != text():
        raise Refused(f"{PATH} is not current", "Write it: `python -m pipelines schema --write`.")
    return 0
