"""Verb `github-setup`: apply the repository's settings to GitHub. It changes only what differs."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pipelines.cli.errors import InputError, MainlineError, Refused
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
LABELS = {
    "audit": {"color": "b60205", "description": "Found by the weekly audit"},
    "monitor": {"color": "b60205", "description": "Found by the monitor of the deployed model"},
    "rollout": {"color": "d93f0b", "description": "A release whose canary was aborted"},
}
# Environment -> the branches that may use it; None for any. No role trusts `untrusted`.
ENVIRONMENTS: dict[str, tuple[str, ...] | None] = {"production": ("main",), "review": None, "untrusted": None}
# The variable that is written last. Without it, nothing is released or rolled back on GitHub.
DONE = "MAINLINE_SETUP"
VARIABLES = (
    *("DVC_REMOTE_URL", "AWS_ROLE_ARN", "AWS_MONITOR_ROLE_ARN", "AWS_RELEASE_ROLE_ARN", "MLFLOW_TRACKING_URI"),
    *("IMAGE_REPOSITORY", "SERVICE_URL", "OPERATIONS_URL", "PREDICTION_LOG"),
    *("SIGN_IMAGES", "RELEASE_RUNNER", "BOT_CLIENT_ID"),
)
# Role -> the end of the OIDC subject of each job that may assume it.
ROLES = {
    "AWS_ROLE_ARN": ("environment:review", "ref:refs/heads/main"),
    "AWS_MONITOR_ROLE_ARN": ("ref:refs/heads/main",),
    "AWS_RELEASE_ROLE_ARN": ("environment:production",),
}
_VARIABLES = "actions/variables"
WITHOUT_RULESETS = (
    "no rulesets: everyone with write access can push to main without a review, and move or delete tags of releases"
)
WITHOUT_ENVIRONMENTS = "no environments: a workflow on any branch can get what the release gets"
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
        InputError: if the repository or the token is not known, the default branch is not main, or a ruleset file is
            invalid.
        Refused: if the token is not an administrator's; or, once all else is done, if the plan of a private repository
            lacks rulesets or environments.
    """
    github = GitHub.from_environment(_repository_of_origin)
    rulesets = _read_rulesets()
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    try:
        repository = github.call("GET", "")
        if repository.get("permissions", {}).get("admin") is False:
            raise Refused(f"the token is not that of an administrator of {github.repository}", "")
        _require_main(github.repository, repository["default_branch"])
        # What differs; and where the plan of a private repository lacks it: what follows, and the errors that say so.
        parts: tuple[tuple[Iterator[Change], str, tuple[type[MainlineError], ...]], ...] = (
            (_compare_repository(repository), "", ()),
            (_compare_labels(github), "", ()),
            (_compare_variables(github, variables), "", ()),
            (_compare_rulesets(github, rulesets), WITHOUT_RULESETS, (Refused,)),
            (_compare_environments(github), WITHOUT_ENVIRONMENTS, (Refused, InputError)),
            (_compare_variables(github, {DONE: "true"}), "", ()),
        )
        count, missing = 0, []
        for changes, consequence, lacking in parts:
            try:
                count += _apply(github, changes, arguments.dry_run)
            except lacking as error:
                if not repository.get("private"):
                    raise
                missing.append(f"  {consequence} ({error})")
        if not count:
            print(f"nothing to change in {github.repository}")
        _print_advice(github, _read_variables(github) | variables, is_public=not repository.get("private"))
    except Refused as error:
        remedy = "Use an administrator's token: `GITHUB_TOKEN=$(gh auth token) make github-setup`; see docs/github.md."
        raise Refused(str(error), remedy) from error
    if missing:
        raise Refused(
            "all else is set up, but GitHub refuses this for a private repository:\n" + "\n".join(missing),
            "GitHub's free plan lacks it: see docs/github.md, A private repository on the free plan.",
        )
    return 0


def _apply(github: GitHub, changes: Iterator[Change], is_dry_run: bool) -> int:
    """Make the changes, print each, and return their number."""
    count = 0
    for change in changes:
        if not is_dry_run:
            github.call(change.method, change.path, change.body)
        print(f"{'would change' if is_dry_run else 'changed'} {change.description}", flush=True)
        count += 1
    return count


def _require_main(repository: str, branch: str) -> None:
    if branch != "main":
        raise InputError(
            f"the default branch is {branch!r}, but rulesets and workflows name main: nothing would be checked",
            f"Rename it: gh api -X POST repos/{repository}/branches/{quote(branch, safe='')}/rename -f new_name=main",
        )


def _print_advice(github: GitHub, variables: dict[str, str], is_public: bool) -> None:
    """Print how settings stand that only a person should change."""
    if not github.call("GET", "actions/permissions/workflow")["can_approve_pull_request_reviews"]:
        print(
            "Workflows may not open pull requests, so rollback.yml, retrain.yml and monitor.yml print a link that "
            "opens theirs. To allow them: "
            f"`gh api -X PUT repos/{github.repository}/actions/permissions/workflow "
            "-F can_approve_pull_request_reviews=true`"
        )
    if any(name in variables for name in ("DVC_REMOTE_URL", *ROLES)):
        prefix = github.call("GET", "actions/oidc/customization/sub").get("sub_claim_prefix")
        for role, subjects in ROLES.items():
            policy = trust_policy(variables.get(role, ""), prefix or f"repo:{github.repository}", subjects)
            print(f"Trust policy of the role {role}:\n{json.dumps(policy, indent=2)}")
    if is_public and variables.get("RELEASE_RUNNER"):
        print(
            f"RELEASE_RUNNER is {variables['RELEASE_RUNNER']!r} in a public repository. If that runner is your own, "
            "everyone can run code on it with a pull request: see docs/security.md, Self-hosted runners.",
            file=sys.stderr,
        )
    if has_placeholder(github.repository, CODEOWNERS):
        print(f"{CODEOWNERS} still names @acme, which owns nothing here: put your own team there.", file=sys.stderr)


def trust_policy(role: str, prefix: str, subjects: tuple[str, ...]) -> Json:
    """Return the trust policy of an AWS role; without the role's ARN, its account is to be filled in."""
    account = re.fullmatch(r"arn:aws[\w-]*:iam::(\d{12}):role/.+", role)
    issuer = "token.actions.githubusercontent.com"
    provider = f"arn:aws:iam::{account[1] if account else 'ACCOUNT'}:oidc-provider/{issuer}"
    condition = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": [f"{prefix}:{end}" for end in subjects]}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": condition},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def has_placeholder(repository: str, owners: Path) -> bool:
    """Return whether the owners are still the template's, which GitHub ignores without a warning."""
    return not repository.startswith("acme/") and owners.is_file() and "@acme/" in owners.read_text(encoding="utf-8")


def _compare_repository(current: Json) -> Iterator[Change]:
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


def _compare_variables(github: GitHub, wanted: dict[str, str]) -> Iterator[Change]:
    current = _read_variables(github)
    for name, value in wanted.items():
        if current.get(name) != value:
            request = ("PATCH", f"{_VARIABLES}/{name}") if name in current else ("POST", _VARIABLES)
            description = f"variable {name}: {current.get(name, 'new')} -> {value}"
            yield Change(description, *request, {"name": name, "value": value})


def _read_variables(github: GitHub) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in github.pages(_VARIABLES, key="variables")}


def _compare_environments(github: GitHub) -> Iterator[Change]:
    current = {environment["name"]: environment for environment in github.pages("environments", key="environments")}
    for name, branches in ENVIRONMENTS.items():
        url, environment = f"environments/{name}", current.get(name)
        if branches is None:
            if environment is None:
                yield Change(f"environment {name}: new", "PUT", url, {})
            continue
        policy = {"protected_branches": False, "custom_branch_policies": True}
        patterns: dict[str, int] = {}
        if environment and covers(policy, environment.get("deployment_branch_policy")):
            listed = github.pages(f"{url}/deployment-branch-policies", key="branch_policies")
            patterns = {pattern["name"]: pattern["id"] for pattern in listed}
        else:
            body = {**_read_protection(environment or {}), "deployment_branch_policy": policy}
            yield Change(f"environment {name}: {'only listed branches' if environment else 'new'}", "PUT", url, body)
        for branch in branches:
            if branch not in patterns:
                body = {"name": branch, "type": "branch"}
                yield Change(f"environment {name}: branch {branch}", "POST", f"{url}/deployment-branch-policies", body)
        for pattern in sorted(patterns.keys() - set(branches)):
            path = f"{url}/deployment-branch-policies/{patterns[pattern]}"
            yield Change(f"environment {name}: no longer {pattern}", "DELETE", path, None)


def _read_protection(environment: Json) -> dict[str, Json]:
    """Return the reviewers and the wait timer that a team gave an environment: a PUT without them would remove them."""
    rules = {rule["type"]: rule for rule in environment.get("protection_rules", [])}
    kept: dict[str, Json] = {}
    if timer := rules.get("wait_timer"):
        kept["wait_timer"] = timer["wait_timer"]
    if required := rules.get("required_reviewers"):
        kept["reviewers"] = [{"type": each["type"], "id": each["reviewer"]["id"]} for each in required["reviewers"]]
        kept["prevent_self_review"] = required.get("prevent_self_review", False)
    return kept


def _read_rulesets() -> dict[str, Json]:
    """Return name -> ruleset of the files in .github/rulesets/."""
    rulesets = {}
    for path in sorted(RULESETS.glob("*.json")):
        try:
            ruleset = json.loads(path.read_text(encoding="utf-8"))
            rulesets[ruleset["name"]] = ruleset
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is not a ruleset: {error!r}", "Fix it, or restore it from git.") from error
    return rulesets


def _compare_rulesets(github: GitHub, rulesets: dict[str, Json]) -> Iterator[Change]:
    # The list has no rules, and may have rulesets of the organization.
    numbers = {ruleset["name"]: ruleset["id"] for ruleset in github.pages("rulesets", includes_parents="false")}
    for name, wanted in rulesets.items():
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
