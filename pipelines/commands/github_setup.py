"""Verb `github-setup`: apply the repository's settings to GitHub. It changes only what differs."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.cli.errors import InputError, Refused
from pipelines.github.client import GitHub
from pipelines.github.transport import Json
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
    *("DVC_REMOTE_URL", "AWS_ROLE_ARN", "MLFLOW_TRACKING_URI", "IMAGE_REPOSITORY"),
    *("SERVICE_URL", "PREDICTION_LOG", "SIGN_IMAGES", "RELEASE_RUNNER", "BOT_CLIENT_ID"),
)
# https://github.com/acme/fraud.git, git@github.com:acme/fraud, ssh://git@ssh.github.com:443/acme/fraud
_ORIGIN = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/]+@)?(?P<host>[\w.-]+\.[\w-]+)(?::\d+/|[:/])(?P<name>[^/]+/[^/]+?)(?:\.git)?/?"
)


class Change(NamedTuple):
    """A setting that differs: its description, and the request that changes it."""

    description: str
    method: str
    path: str
    body: Json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Change each setting that differs, and print one line for it. After an interruption, run it again.

    Raises:
        InputError: if the repository or the token is not known, or a ruleset file is invalid.
        Refused: if the token is not an administrator's, or the plan lacks rulesets.
    """
    github = GitHub.from_environment(_repository_of_origin)
    count = 0
    try:
        for change in find_changes(github):
            if not arguments.dry_run:
                github.call(change.method, change.path, change.body)
            print(f"{'would change' if arguments.dry_run else 'changed'} {change.description}", flush=True)
            count += 1
    except Refused as error:
        remedy = "Use an administrator's token: `GITHUB_TOKEN=$(gh auth token) make github-setup`; see docs/github.md."
        raise Refused(str(error), remedy) from error
    if not count:
        print(f"nothing to change in {github.repository}")
    if has_placeholder(github.repository, CODEOWNERS):
        print(f"{CODEOWNERS} still names @acme, which owns nothing here: put your own team there.", file=sys.stderr)
    return 0


def has_placeholder(repository: str, owners: Path) -> bool:
    """Return whether the owners are still the template's, which GitHub ignores without a warning."""
    return not repository.startswith("acme/") and owners.is_file() and "@acme/" in owners.read_text(encoding="utf-8")


def find_changes(github: GitHub) -> Iterator[Change]:
    """Yield what differs; rulesets last, since GitHub's free plan has none in private repositories."""
    yield from _compare_repository(github)
    yield from _compare_labels(github)
    yield from _compare_variables(github)
    # The pull request is the approval. An existing environment is left alone: a team may have added reviewers to it.
    if ENVIRONMENT not in {environment["name"] for environment in github.pages("environments", key="environments")}:
        yield Change(f"environment {ENVIRONMENT}: new", "PUT", f"environments/{ENVIRONMENT}", {})
    yield from _compare_rulesets(github)


def _compare_repository(github: GitHub) -> Iterator[Change]:
    current = github.call("GET", "")
    if differing := [name for name, value in REPOSITORY.items() if current.get(name) != value]:
        differences = ", ".join(f"{name} {current.get(name)} -> {REPOSITORY[name]}" for name in differing)
        # All of them at once: GitHub takes some only together.
        yield Change(f"repository: {differences}", "PATCH", "", REPOSITORY)


def _compare_labels(github: GitHub) -> Iterator[Change]:
    current = {label["name"].lower(): label for label in github.pages("labels")}
    for name, wanted in LABELS.items():
        if name not in current:
            yield Change(f"label {name}: new", "POST", "labels", {"name": name, **wanted})
        elif not covers(wanted, current[name]):
            yield Change(f"label {name}", "PATCH", f"labels/{name}", wanted)


def _compare_variables(github: GitHub) -> Iterator[Change]:
    path = "actions/variables"
    current = {variable["name"]: variable["value"] for variable in github.pages(path, key="variables")}
    for name in VARIABLES:
        value = os.environ.get(name)
        if not value or current.get(name) == value:
            continue
        request = ("PATCH", f"{path}/{name}") if name in current else ("POST", path)
        yield Change(
            f"variable {name}: {current.get(name, 'new')} -> {value}", *request, {"name": name, "value": value}
        )


def _compare_rulesets(github: GitHub) -> Iterator[Change]:
    # The list has no rules, and may have rulesets of the organization.
    numbers = {ruleset["name"]: ruleset["id"] for ruleset in github.pages("rulesets", includes_parents="false")}
    for path in sorted(RULESETS.glob("*.json")):
        try:
            wanted = json.loads(path.read_text(encoding="utf-8"))
            name = wanted["name"]
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is not a ruleset: {error!r}", "Fix it, or restore it from git.") from error
        if name not in numbers:
            yield Change(f"ruleset {name}: new", "POST", "rulesets", wanted)
            continue
        url = f"rulesets/{numbers[name]}"
        current = github.call("GET", url)
        if differing := [key for key, value in wanted.items() if not covers(value, current.get(key))]:
            yield Change(f"ruleset {name}: {', '.join(differing)}", "PUT", url, wanted)


def covers(wanted: Json, current: Json) -> bool:
    """Return whether `current` has all that is wanted; GitHub adds fields of its own, and keeps lists in any order."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(covers(value, current.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        items = list(current or [])
        return len(wanted) == len(items) and all(any(covers(value, item) for item in items) for value in wanted)
    return bool(wanted == current or (wanted is False and current is None))


def _repository_of_origin() -> str:
    """Return OWNER/NAME of the remote `origin`, or an empty string.

    Raises:
        InputError: if origin is on another host than the API that would get the token.
    """
    origin = _ORIGIN.fullmatch(try_git("remote", "get-url", "origin") or "")
    if origin is None:
        return ""
    host = origin["host"]
    if host not in ("github.com", "ssh.github.com") and not os.environ.get("GITHUB_API_URL"):
        raise InputError(f"origin is on {host}, not on github.com", f"Set GITHUB_API_URL=https://{host}/api/v3.")
    return origin["name"]
