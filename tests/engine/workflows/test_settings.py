"""What is asked of GitHub in files: rulesets, owners, Dependabot. Needs the tools of `make workflow-tools`."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

from pipelines.github.client import GitHub
from pipelines.repository.release_id import FILES
from tests.engine.workflows.github_fake import REPOSITORY, TOKEN, GitHubFake
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.lint import BIN
from tests.engine.workflows.openapi import trimmed

GITHUB = ROOT / ".github"
ACTIONS = 15368  # the app that puts the checks of workflows, and those that a workflow's token puts
RULESETS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(GITHUB.glob("rulesets/*.json"))
}
UPDATES: list[dict[str, Any]] = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
MANIFESTS = {"github-actions": "action.yml", "uv": "dev.in", "npm": "package.json"}


def rules(name: str) -> dict[str, dict[str, Any]]:
    return {rule["type"]: rule.get("parameters", {}) for rule in RULESETS[name]["rules"]}


def jobs_on(event: str) -> set[str]:
    """The names of the checks that the workflows of an event put."""
    found = set()
    for path in GITHUB.glob("workflows/*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        if event in workflow[True]:  # YAML 1.1 takes `on` for true
            found |= {job.get("name", name) for name, job in workflow["jobs"].items()}
    return found


@pytest.mark.parametrize("name", RULESETS)
def test_a_ruleset_is_on_and_bears_its_files_name(name: str) -> None:
    assert (RULESETS[name]["name"], RULESETS[name]["enforcement"]) == (name, "active")


@pytest.mark.parametrize("name", RULESETS)
def test_github_knows_every_word_of_a_ruleset(name: str) -> None:
    # Its description forbids no unknown fields, and passes over a rule whose parameter is misspelt.
    schemas = trimmed()["components"]["schemas"]
    for rule, parameters in rules(name).items():
        known = schemas[f"repository-rule-{rule.replace('_', '-')}"]["properties"]
        assert parameters.keys() <= known.get("parameters", {}).get("properties", {}).keys()
    body = trimmed()["paths"]["/repos/{owner}/{repo}/rulesets"]["post"]["requestBody"]
    assert RULESETS[name].keys() <= body["content"]["application/json"]["schema"]["properties"].keys()


@pytest.mark.parametrize("name", RULESETS)
def test_github_would_take_a_ruleset(name: str, github: GitHubFake) -> None:
    GitHub(REPOSITORY, TOKEN, github.url).call("POST", "rulesets", RULESETS[name])
    assert github.invalid == []


def test_the_required_checks_are_jobs_of_every_event_that_a_merge_waits_for() -> None:
    checks = rules("main")["required_status_checks"]["required_status_checks"]
    assert [check["context"] for check in checks] == ["review", "test"]
    assert {check["context"] for check in checks} <= jobs_on("pull_request") & jobs_on("merge_group")
    assert {check["integration_id"] for check in checks} == {ACTIONS}


def test_main_takes_squashed_pull_requests_that_are_up_to_date_and_approved_by_owners() -> None:
    main = rules("main")
    assert RULESETS["main"]["conditions"]["ref_name"] == {"include": ["~DEFAULT_BRANCH"], "exclude": []}
    assert main.keys() >= {"deletion", "non_fast_forward", "required_linear_history"}
    assert main["required_status_checks"]["strict_required_status_checks_policy"] is True
    review = main["pull_request"]
    assert review["allowed_merge_methods"] == ["squash"]
    assert (review["required_approving_review_count"], review["require_code_owner_review"]) == (1, True)
    # An approval from before the report, or from whoever pushed last, is none: docs/github.md.
    assert (review["dismiss_stale_reviews_on_push"], review["require_last_push_approval"]) == (True, True)


def test_only_an_administrator_passes_main_by_and_only_through_a_pull_request() -> None:
    admin = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"}
    assert RULESETS["main"]["bypass_actors"] == [admin]


def test_nobody_moves_or_deletes_a_tag() -> None:
    assert rules("tags").keys() == {"deletion", "non_fast_forward", "update"}
    assert (RULESETS["tags"]["target"], RULESETS["tags"]["bypass_actors"]) == ("tag", [])


@pytest.mark.parametrize(
    ("tag", "kept"),
    [("fraud@v1.4.0", True), ("fraud#production#7", True), ("fraud@v2.0.0#production", True), ("v1.0", False)],
)
def test_the_tags_that_are_kept_are_those_of_releases(tag: str, kept: bool) -> None:
    patterns = RULESETS["tags"]["conditions"]["ref_name"]["include"]
    assert any(fnmatchcase(f"refs/tags/{tag}", pattern) for pattern in patterns) == kept


def test_the_gate_what_it_stands_on_and_what_releases_have_owners() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    owned = dict(line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    numbers = {"/params.yaml", "/dvc.yaml", "/tests/critical/"}
    code = {"/pipelines/", "/serving/", "/Makefile", "/template.json", "/.github/", "/requirements/"}
    assert owned.keys() == numbers | code
    assert [path for path in owned if not (ROOT / path.strip("/")).exists()] == []
    assert [path for path in owned if path.endswith("/") != (ROOT / path.strip("/")).is_dir()] == []
    assert all(re.fullmatch(r"@[\w-]+/[\w-]+", owner) for owner in owned.values())


def test_what_names_a_release_has_owners_but_the_lock_that_comes_with_every_model() -> None:
    text = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8")
    owned = [line.split()[0].strip("/") for line in text.splitlines() if not line.startswith("#")]
    assert {path for path in FILES if not path.startswith(tuple(owned))} == {"dvc.lock"}
    assert "dvc.lock" in text


def test_dependabots_file_is_by_its_schema() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update["package-ecosystem"])
def test_an_update_is_weekly_grouped_and_not_of_yesterday(update: dict[str, Any]) -> None:
    assert update["schedule"] == {"interval": "weekly"}
    assert update["cooldown"]["default-days"] >= 7
    assert [group["patterns"] for group in update["groups"].values()] == [["*"]]


@pytest.mark.parametrize("update", UPDATES, ids=lambda update: update["package-ecosystem"])
def test_an_update_finds_its_manifest(update: dict[str, Any]) -> None:
    folders = update.get("directories") or [update["directory"]]
    manifest = MANIFESTS[update["package-ecosystem"]]
    assert any(found for folder in folders for found in ROOT.glob(f"{folder}/{manifest}".strip("/")))


def test_what_is_pinned_is_updated() -> None:
    assert {update["package-ecosystem"] for update in UPDATES} == MANIFESTS.keys()
