"""Verb `template`: whether this copy of the template changed the engine, and therefore which tests `make test` runs.

template.json lists the team's files and the engine's, and holds a hash of the engine's files. In the template itself
the hash is null. A copy records it with `make template`; as long as the engine has this hash, only the team's files
need tests.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.base import Strict
from pipelines.repository.git import git

PATH = Path("template.json")


class Template(Strict):
    """The content of template.json; a folder in a list ends with a slash."""

    version: str
    engine_hash: str | None
    team: tuple[str, ...]
    engine: tuple[str, ...]

    def is_engine(self, file: str) -> bool:
        """Return whether the longest entry that matches is the engine's; a file that none matches is the team's."""
        entries = (*self.engine, *self.team)
        matches = [entry for entry in entries if file == entry or (entry[-1:] == "/" and file.startswith(entry))]
        return bool(matches) and max(matches, key=len) in self.engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--write", action="store_true", help=f"record the hash of the engine in {PATH}")


def run(arguments: argparse.Namespace) -> int:
    """Print `team` or `engine`, the tests to run, and the reason on stderr; with --write, record the engine."""
    template = read_template()
    if arguments.write:
        document = template.model_dump(mode="json") | {"engine_hash": engine_hash(template)}
        write_text(PATH, json.dumps(document, indent=2) + "\n")
        print(f"{PATH} records the engine of template {template.version}. Commit it.")
        return 0
    scope, reason = choose_tests(template)
    print(scope)
    print(reason, file=sys.stderr)
    return 0


def choose_tests(template: Template) -> tuple[str, str]:
    """Return `team` or `engine`, and the reason in one line."""
    if template.engine_hash is None:
        return "engine", f"Testing everything: {PATH} records no engine. In a copy, `make template` records it."
    if template.engine_hash != engine_hash(template):
        return "engine", f"Testing everything: the engine differs from the one that {PATH} records."
    return "team", f"Testing the team's files only: the engine is that of template {template.version}, unchanged."


def read_template() -> Template:
    """Read template.json.

    Raises:
        InputError: if it is missing or invalid.
    """
    try:
        return Template.model_validate_json(PATH.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"is invalid: {error}"
        raise InputError(f"{PATH} {reason}", f"Restore it: `git checkout HEAD -- {PATH}`.") from error


def engine_hash(template: Template) -> str:
    """Return the SHA-256 of the names and contents of the engine's files in the work tree, without ignored files.

    Raises:
        InputError: outside of a git repository.
    """
    try:
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        files = [name for name in sorted(set(listed)) if template.is_engine(name) and Path(name).is_file()]
        hashes = git("hash-object", "--stdin-paths", stdin="\n".join(files)).splitlines()
    except subprocess.CalledProcessError as error:
        raise InputError(f"git failed: {error.stderr.strip()}", "Run this in a clone of the repository.") from error
    lines = [f"{blob} {name}\n" for blob, name in zip(hashes, files, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
