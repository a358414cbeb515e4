"""Who approved the pull request of a commit of main, and whether the ruleset of main was bypassed."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipelines.github.client import GitHub
from pipelines.github.transport import Json
from pipelines.repository.git import text_at

RULESET = ".github/rulesets/main.json"
_PASSED = ("success", "neutral", "skipped")  # conclusions with which GitHub counts a required check as passed
_NO_VERDICT = ("COMMENTED", "PENDING")  # states of a review that neither approves nor rejects


@dataclass(frozen=True)
class Approval:
    """How a commit came onto main, as its assignment's tag records it: see `Annotation`."""

    pull_request: int | None = None
    approved_by: tuple[str, ...] = ()
    bypassed: bool | None = None


def connect_to_github() -> GitHub | None:
    """Return the repository on GitHub, or None where the environment has no repository name or no token."""
    if os.environ.get("GITHUB_REPOSITORY") and os.environ.get("GITHUB_TOKEN"):
        return GitHub.from_environment()
    return None


def read_approval(commit: str) -> Approval:
    """Read from GitHub how a commit came onto main.

    `bypassed` is True for a direct push, for fewer approvals than rulesets/main.json required before the merge (at
    least one), and where a required check of the pull request's head had not passed at the merge. The REST API does
    not tell whether a code owner was among the approvers, nor whether each of them may write: only the ruleset itself
    enforces these two. Errors are those of `pipelines.github.client`.
    """
    github = connect_to_github()
    if github is None:
        return Approval()
    merged = [pull for pull in github.commit_pulls(commit) if pull.get("merged_at") and pull["base"]["ref"] == "main"]
    if not merged:
        return Approval(None, (), True)
    pull = next((pull for pull in merged if pull.get("merge_commit_sha") == commit), merged[0])
    approvers = _find_approvers(pull, github.reviews(pull["number"]))
    return Approval(int(pull["number"]), approvers, _is_bypassed(commit, pull, approvers, github))


def _find_approvers(pull: Json, reviews: Iterable[Json]) -> tuple[str, ...]:
    """Return the logins whose last review before the merge approves. Deleted accounts have no login and are ignored."""
    author = (pull.get("user") or {}).get("login")
    last_state: dict[str, str] = {}
    for review in reviews:
        if review.get("user") and review["state"] not in _NO_VERDICT and _is_at_merge(review["submitted_at"], pull):
            last_state[review["user"]["login"]] = review["state"]
    return tuple(sorted(login for login, state in last_state.items() if state == "APPROVED" and login != author))


def _is_at_merge(time: str | None, pull: Json) -> bool:
    """Return whether a time is not later than the merge."""
    return time is not None and datetime.fromisoformat(time) <= datetime.fromisoformat(pull["merged_at"])


def _is_bypassed(commit: str, pull: Json, approvers: tuple[str, ...], github: GitHub) -> bool | None:
    if not approvers:
        return True
    try:
        # The ruleset before the merge: the pull request itself cannot have changed it.
        ruleset = json.loads(text_at(f"{commit}^", RULESET) or "")["rules"]
        rules = {rule["type"]: rule.get("parameters", {}) for rule in ruleset}
        required_approvals = int(rules.get("pull_request", {}).get("required_approving_review_count", 1))
        checks = rules.get("required_status_checks", {}).get("required_status_checks", [])
        required_apps = {check["context"]: check.get("integration_id") for check in checks}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # an unreadable ruleset neither blocks a release nor proves a bypass
    if len(approvers) < required_approvals:
        return True
    conclusions = {}
    # Two events of a workflow start two runs of one name: the newest run counts.
    for run in sorted(github.checks(pull["head"]["sha"]), key=lambda run: int(run["id"])):
        app, required_app = (run.get("app") or {}).get("id"), required_apps.get(run["name"])
        # Runs that started after the merge do not count, nor those of another app under the name of a required check.
        if _is_at_merge(run.get("started_at") or pull["merged_at"], pull) and (
            None in (app, required_app) or app == required_app
        ):
            conclusions[run["name"]] = run["conclusion"] if _is_at_merge(run.get("completed_at"), pull) else None
    return any(conclusions.get(name) not in _PASSED for name in required_apps)
