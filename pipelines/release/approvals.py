"""Who let a commit onto main: its pull request, those who approved it, and whether the rules were kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipelines.github.client import GitHub, Json
from pipelines.repository.git import text_at

RULES = ".github/rulesets/main.json"
_PASSED = ("success", "neutral", "skipped")  # with which GitHub lets a required check pass
_WORDS_ALONE = ("COMMENTED", "PENDING")  # states of a review that says neither yes nor no


@dataclass(frozen=True)
class People:
    """What an assignment's tag says about people.

    Attributes:
        pull_request: its number; None for a direct push, or where GitHub cannot be asked.
        approved_by: logins, sorted.
        bypassed: whether it came onto main past the rules; None where that is not known.
    """

    pull_request: int | None = None
    approved_by: tuple[str, ...] = ()
    bypassed: bool | None = None


def github() -> GitHub | None:
    """The repository on GitHub, or None where the environment does not name it or has no token.

    Raises:
        InputError: if what the environment says cannot be right.
    """
    if os.environ.get("GITHUB_REPOSITORY") and os.environ.get("GITHUB_TOKEN"):
        return GitHub.from_environment()
    return None


def of(commit: str) -> People:
    """Those who let a commit onto main, by GitHub's word of now.

    `bypassed` is True for a direct push, with fewer approvals than rulesets/main.json asked for before the merge (one
    at least), or where a required check had not passed on the pull request's head when it was merged. REST tells
    neither whether a code owner was among those who approved nor whether all of them may write; both stay unseen here,
    and are the ruleset's to enforce.

    Raises:
        Unreachable, Refused, InputError: as GitHub answers.
    """
    asked = github()
    if asked is None:
        return People()
    pull = _merged(commit, asked.commit_pulls(commit))
    if pull is None:
        return People(None, (), True)
    approved = _approved_by(pull, asked.reviews(pull["number"]))
    return People(int(pull["number"]), approved, _bypassed(commit, pull, approved, asked))


def _merged(commit: str, pulls: Iterable[Json]) -> Json | None:
    """The pull request into main whose merge made the commit, else the merged one that GitHub names first."""
    merged = [pull for pull in pulls if pull.get("merged_at") and pull["base"]["ref"] == "main"]
    made = [pull for pull in merged if pull.get("merge_commit_sha") == commit]
    return next(iter(made + merged), None)


def _approved_by(pull: Json, reviews: Iterable[Json]) -> tuple[str, ...]:
    """Logins whose last word before the merge is an approval. A deleted account has no login and counts for nothing."""
    merged_at = _time(pull["merged_at"])
    last = {
        review["user"]["login"]: review["state"]
        for review in reviews
        if review.get("user") and review["state"] not in _WORDS_ALONE and _time(review["submitted_at"]) <= merged_at
    }
    last.pop((pull.get("user") or {}).get("login"), None)
    return tuple(sorted(login for login, state in last.items() if state == "APPROVED"))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _bypassed(commit: str, pull: Json, approved: tuple[str, ...], asked: GitHub) -> bool | None:
    if not approved:
        return True
    try:
        # Those of before the merge, which cannot have been made for it.
        given = json.loads(text_at(f"{commit}^", RULES) or "")["rules"]
        rules = {rule["type"]: rule.get("parameters", {}) for rule in given}
        approvals = int(rules.get("pull_request", {}).get("required_approving_review_count", 1))
        asked_for = rules.get("required_status_checks", {}).get("required_status_checks", [])
        required = {check["context"]: check.get("integration_id") for check in asked_for}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # a release is not held up by rules that cannot be read, and nobody is accused by them
    if len(approved) < approvals:
        return True
    merged_at, conclusions = _time(pull["merged_at"]), {}
    # Of two runs of one name (two events of a workflow start two) the one that was made last counts.
    for run in sorted(asked.checks(pull["head"]["sha"]), key=lambda run: int(run["id"])):
        if run.get("started_at") and _time(run["started_at"]) > merged_at:
            continue
        app, wanted = (run.get("app") or {}).get("id"), required.get(run["name"])
        if None in (app, wanted) or app == wanted:  # another app's run of the name is not the one asked for
            ended = run.get("completed_at")
            conclusions[run["name"]] = run["conclusion"] if ended and _time(ended) <= merged_at else None
    return any(conclusions.get(name) not in _PASSED for name in required)
