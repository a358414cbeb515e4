"""The files that configure GitHub: rulesets, owners, Dependabot. Needs the tools of `make workflow-tools`."""

import json
import re
import subprocess
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

from pipelines.github.client import GitHub
from pipelines.repository.release_id import FILES
from tests.engine.workflows.github_accounts import REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.lint import BIN
from tests.engine.workflows.openapi import trimmed

GITHUB = ROOT / ".github"
ACTIONS = 15368  # the app that creates the checks of workflows and of their tokens
RULESETS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(GITHUB.glob("rulesets/*.json"))
}
UPDATES: list[dict[str, Any]] = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
MANIFESTS = {"github-actions": "action.yml", "uv": "dev.in", "npm": "package.json"}


def rules(name: str) -> dict[str, dict[str, Any]]:
    return {rule["type"]: rule.get("parameters", {}) for rule in RULESETS[name]["rules"]}


def jobs_on(event: str) -> set[str]:
    """Return the names of the checks of the workflows of an event."""
    names: set[str] = set()
    for path in GITHUB.glob("workflows/*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        if event in workflow[True]:  # YAML 1.1 takes `on` for true
            names |= {job.get("name", name) for name, job in workflow["jobs"].items()}
    return names


@pytest.mark.parametrize("name", RULESETS)
def test_a_ruleset_is_active_and_has_the_name_of_its_file(name: str) -> None:
    assert (RULESETS[name]["name"], RULESETS[name]["enforcement"]) == (name, "active")


@pytest.mark.parametrize("name", RULESETS)
def test_every_field_of_a_ruleset_is_in_githubs_description(name: str) -> None:
    # GitHub's description allows unknown fields, also a rule with a misspelt parameter.
    schemas = trimmed()["components"]["schemas"]
    for rule, parameters in rules(name).items():
        known = schemas[f"repository-rule-{rule.replace('_', '-')}"]["properties"]
        assert parameters.keys() <= known.get("parameters", {}).get("properties", {}).keys()
    body = trimmed()["paths"]["/repos/{owner}/{repo}/rulesets"]["post"]["requestBody"]
    assert RULESETS[name].keys() <= body["content"]["application/json"]["schema"]["properties"].keys()


@pytest.mark.parametrize("name", RULESETS)
def test_a_ruleset_follows_githubs_description(name: str, github: GitHubFake) -> None:
    GitHub(REPOSITORY, TOKEN, github.url).call("POST", "rulesets", RULESETS[name])
    assert github.invalid == []


def test_the_documented_merge_queue_follows_githubs_description(github: GitHubFake) -> None:
    text = (ROOT / "docs/github.md").read_text(encoding="utf-8").partition("\n### The merge queue\n")[2]
    rule = json.loads(text.partition("```json\n")[2].partition("```")[0])
    known = trimmed()["components"]["schemas"]["repository-rule-merge-queue"]["properties"]["parameters"]["properties"]
    assert rule["parameters"].keys() <= known.keys()
    ruleset = RULESETS["main"] | {"rules": [*RULESETS["main"]["rules"], rule]}
    GitHub(REPOSITORY, TOKEN, github.url).call("POST", "rulesets", ruleset)
    assert github.invalid == []
    assert [rule["parameters"]["merge_method"].lower()] == rules("main")["pull_request"]["allowed_merge_methods"]
    limits = [
        yaml.safe_load((GITHUB / f"workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"][name]["timeout-minutes"]
        for name in ("review", "test")
    ]
    assert rule["parameters"]["check_response_timeout_minutes"] > max(limits)


def test_the_required_checks_are_jobs_of_pull_requests_and_merge_groups() -> None:
    checks = rules("main")["required_status_checks"]["required_status_checks"]
    assert [check["context"] for check in checks] == ["review", "test"]
    assert {check["context"] for check in checks} <= jobs_on("pull_request") & jobs_on("merge_group")
    assert {check["integration_id"] for check in checks} == {ACTIONS}


def test_main_requires_a_squashed_current_and_approved_pull_request() -> None:
    main = rules("main")
    assert RULESETS["main"]["conditions"]["ref_name"] == {"include": ["~DEFAULT_BRANCH"], "exclude": []}
    assert main.keys() >= {"deletion", "non_fast_forward", "required_linear_history"}
    assert main["required_status_checks"]["strict_required_status_checks_policy"] is True
    review = main["pull_request"]
    assert review["allowed_merge_methods"] == ["squash"]
    assert (review["required_approving_review_count"], review["require_code_owner_review"]) == (1, True)
    # An approval from before the report or by the last person to push does not count: docs/github.md.
    assert (review["dismiss_stale_reviews_on_push"], review["require_last_push_approval"]) == (True, True)


def test_only_administrators_can_bypass_the_ruleset_of_main_in_a_pull_request() -> None:
    admin = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"}
    assert RULESETS["main"]["bypass_actors"] == [admin]


def test_nobody_can_move_or_delete_a_tag() -> None:
    assert rules("tags").keys() == {"deletion", "non_fast_forward", "update"}
    assert (RULESETS["tags"]["target"], RULESETS["tags"]["bypass_actors"]) == ("tag", [])


@pytest.mark.parametrize(
    ("tag", "is_protected"),
    [("fraud@v1.4.0", True), ("fraud#production#7", True), ("fraud@v2.0.0#production", True), ("v1.0", False)],
)
def test_the_tags_of_releases_are_protected(tag: str, is_protected: bool) -> None:
    patterns = RULESETS["tags"]["conditions"]["ref_name"]["include"]
    assert any(fnmatchcase(f"refs/tags/{tag}", pattern) for pattern in patterns) == is_protected


def owners_of(path: str) -> str:
    """Return the owners of a path: the last pattern that matches decides, and one without owners takes them away."""
    found = ""
    for line in (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines():
        pattern, _, owners = line.partition(" ")
        if pattern == "*" or path == pattern[1:] or (pattern.endswith("/") and path.startswith(pattern[1:])):
            found = owners.strip()
    return found


def test_every_file_has_owners_except_generated_files_and_texts() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    without = {path for path in tracked if not owners_of(path)}
    kinds = {path if "/" not in path else path.partition("/")[0] + "/" for path in without}
    assert kinds <= {"dvc.lock", "reports/", "docs/", "tests/", "README.md", "CHANGELOG.md"}
    assert {path for path in without if path.startswith("tests/") and not path.startswith("tests/team/")} == set()
    assert [path for path in without if path.endswith(".py") and not path.startswith("tests/team/")] == []


@pytest.mark.parametrize(
    "path", ["yaml.py", "json/__init__.py", "pyproject.toml", ".dvc/config", "data.dvc", "conftest.py"]
)
def test_a_file_that_decides_what_a_review_does_has_owners(path: str) -> None:
    assert re.fullmatch(r"@[\w-]+/[\w-]+", owners_of(path))


def test_every_file_of_the_release_id_except_dvc_lock_has_owners() -> None:
    assert {path for path in FILES if not owners_of(path)} == {"dvc.lock"}


def test_dependabot_yml_follows_its_schema() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update["package-ecosystem"])
def test_updates_are_weekly_grouped_and_at_least_a_week_old(update: dict[str, Any]) -> None:
    assert update["schedule"] == {"interval": "weekly"}
    assert update["cooldown"]["default-days"] >= 7
    assert [group["patterns"] for group in update["groups"].values()] == [["*"]]


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update["package-ecosystem"])
def test_the_manifest_of_an_update_exists(update: dict[str, Any]) -> None:
    folders = update.get("directories") or [update["directory"]]
    manifest = MANIFESTS[update["package-ecosystem"]]
    assert any(path for folder in folders for path in ROOT.glob(f"{folder}/{manifest}".strip("/")))


def test_every_ecosystem_is_updated() -> None:
    assert {update["package-ecosystem"] for update in UPDATES} == MANIFESTS.keys()
