"""Verb `github-setup`: the repository's settings on GitHub. It changes only what differs."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError, Refused
from pipelines.github.client import GitHub
from pipelines.repository.git import try_git

RULESETS = Path(".github/rulesets")
CODEOWNERS = Path(".github/CODEOWNERS")
REPOSITORY = {
    "allow_squash_merge": True,
    "allow_merge_commit": False,
    "allow_rebase_merge": False,
    "delete_branch_on_merge": True,
    # Each pull request becomes one commit on main, with the title and text of the pull request.
    "squash_merge_commit_title": "PR_TITLE",
    "squash_merge_commit_message": "PR_BODY",
}
LABELS = {"audit": {"color": "b60205", "description": "Found by the weekly audit"}}
ENVIRONMENT = "production"
VARIABLES = (
    "DVC_REMOTE_URL",
    "AWS_ROLE_ARN",
    "MLFLOW_TRACKING_URI",
    "IMAGE_REPOSITORY",
    "SERVICE_URL",
    "PREDICTION_LOG",
    "SIGN_IMAGES",
    "RELEASE_RUNNER",
)
# https://github.com/acme/fraud.git, git@github.com:acme/fraud, ssh://git@ssh.github.com:443/acme/fraud
_ORIGIN = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/]+@)?(?P<host>[\w.-]+\.[\w-]+)(?::\d+/|[:/])(?P<name>[^/]+/[^/]+?)(?:\.git)?/?"
)


@dataclass(frozen=True)
class Change:
    """A setting that differs: its description, and the call that changes it."""

    what: str
    make: Callable[[], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Apply what differs, and print one line each. After an interruption, run it again.

    Raises:
        InputError: if the repository or the token is not known, or a ruleset file is invalid.
        Refused: if the token is not an administrator's, or the plan lacks rulesets.
    """
    github = GitHub.from_environment(_origin)
    count = 0
    try:
        for change in changes(github):
            if not arguments.dry_run:
                change.make()
            print(f"{'would change' if arguments.dry_run else 'changed'} {change.what}", flush=True)
            count += 1
    except Refused as error:
        raise Refused(
            str(error),
            "Use an administrator's token: `GITHUB_TOKEN=$(gh auth token) make github-setup`; see docs/github.md.",
        ) from error
    if not count:
        print(f"nothing to change in {github.repository}")
    if placeholder(github.repository, CODEOWNERS):
        print(f"{CODEOWNERS} still names @acme, which owns nothing here: put your own team there.", file=sys.stderr)
    return 0


def placeholder(repository: str, owners: Path) -> bool:
    """Whether the owners are still the template's, which GitHub ignores without a warning."""
    return not repository.startswith("acme/") and owners.is_file() and "@acme/" in owners.read_text(encoding="utf-8")


def changes(github: GitHub) -> Iterator[Change]:
    """What differs; rulesets last, since GitHub's free plan has none in private repositories."""
    yield from _repository(github)
    yield from _labels(github)
    yield from _variables(github)
    yield from _environment(github)
    yield from _rulesets(github)


def _repository(github: GitHub) -> Iterator[Change]:
    there = github.repository_settings()
    if differing := [name for name, value in REPOSITORY.items() if there.get(name) != value]:
        differences = ", ".join(f"{name} {there.get(name)} -> {REPOSITORY[name]}" for name in differing)
        # All of them at once: GitHub takes some only together.
        yield Change(f"repository: {differences}", partial(github.update_repository, **REPOSITORY))


def _labels(github: GitHub) -> Iterator[Change]:
    there = {label["name"].lower(): label for label in github.labels()}
    for name, wanted in LABELS.items():
        if name not in there:
            yield Change(f"label {name}: new", partial(github.create_label, name, **wanted))
        elif not covers(wanted, there[name]):
            yield Change(f"label {name}", partial(github.update_label, name, **wanted))


def _variables(github: GitHub) -> Iterator[Change]:
    there = {variable["name"]: variable["value"] for variable in github.variables()}
    for name in VARIABLES:
        value = os.environ.get(name)
        if not value or there.get(name) == value:
            continue
        make = github.update_variable if name in there else github.create_variable
        yield Change(f"variable {name}: {there.get(name, 'new')} -> {value}", partial(make, name, value))


def _environment(github: GitHub) -> Iterator[Change]:
    # The pull request is the approval. An existing environment is left alone: a team may have added reviewers to it.
    if ENVIRONMENT not in {environment["name"] for environment in github.environments()}:
        yield Change(f"environment {ENVIRONMENT}: new", partial(github.put_environment, ENVIRONMENT, {}))


def _rulesets(github: GitHub) -> Iterator[Change]:
    there = {ruleset["name"]: ruleset["id"] for ruleset in github.rulesets()}
    for path in sorted(RULESETS.glob("*.json")):
        wanted = _read(path)
        name = wanted["name"]
        if name not in there:
            yield Change(f"ruleset {name}: new", partial(github.create_ruleset, wanted))
            continue
        number = there[name]
        current = github.ruleset(number)
        if differing := [key for key, value in wanted.items() if not covers(value, current.get(key))]:
            yield Change(f"ruleset {name}: {', '.join(differing)}", partial(github.update_ruleset, number, wanted))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}", "Fix it, or restore it from git.") from error
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise InputError(f"{path} has no name", "Fix it, or restore it from git.")
    return document


def covers(wanted: Any, there: Any) -> bool:
    """Whether what is there holds all that is wanted; GitHub adds fields of its own, and keeps lists in any order."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(covers(value, there.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        items = list(there or [])
        return len(wanted) == len(items) and all(any(covers(value, item) for item in items) for value in wanted)
    return bool(wanted == there or (wanted is False and there is None))


def _origin() -> str:
    """OWNER/NAME of the remote `origin`, or nothing.

    Raises:
        InputError: if it is on another host than the API that would get the token.
    """
    origin = _ORIGIN.fullmatch(try_git("remote", "get-url", "origin") or "")
    if origin is None:
        return ""
    if origin["host"] not in ("github.com", "ssh.github.com") and not os.environ.get("GITHUB_API_URL"):
        raise InputError(
            f"origin is on {origin['host']}, not on github.com", f"Set GITHUB_API_URL=https://{origin['host']}/api/v3."
        )
    return origin["name"]
