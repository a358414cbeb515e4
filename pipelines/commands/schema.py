"""Verb `schema`: the JSON schema of params.yaml, which the file's first line points editors to, and docs/params.md."""

import argparse
import json
from pathlib import Path

from pipelines.cli.errors import Refused
from pipelines.cli.files import write_text
from pipelines.config.params import json_schema
from pipelines.config.reference import PAGE, fill

PATH = Path("params.schema.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--write", action="store_true", help=f"write {PATH}, and the tables of {PAGE}")
    parser.add_argument("--check", action="store_true", help="fail if one of them is not current")


def text() -> str:
    """Return the schema as the committed file has it."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def run(arguments: argparse.Namespace) -> int:
    """Print the schema, or write or check the files that follow from the typed configuration.

    Raises:
        Refused: if a committed file is not current.
    """
    if not arguments.write and not arguments.check:
        print(text(), end="")
        return 0
    files = {PATH: text()}
    if PAGE.is_file():  # a team may have removed docs/
        files[PAGE] = fill(PAGE.read_text(encoding="utf-8"))
    for path, current in files.items():
        if arguments.write:
            write_text(path, current)
        elif not path.is_file() or path.read_text(encoding="utf-8") != current:
            raise Refused(f"{path} is not current", "Write it: `python -m pipelines schema --write`.")
    return 0
