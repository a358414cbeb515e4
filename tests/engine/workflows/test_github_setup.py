"""`make github-setup` on the fake GitHub, which checks every request (needs `make workflow-tools`)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.cli.errors import InputError
from pipelines.commands import github_setup
from tests.engine.workflows.github_accounts import ALICE, REPOSITORY
from tests.engine.workflows.github_fake import GitHubFake

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def place(github: GitHubFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with .github/, and an environment that names the fake GitHub."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    monkeypatch.chdir(tmp_path)
    for name in github_setup.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GITHUB_TOKEN", ALICE)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    return tmp_path


def read_settings(github: GitHubFake) -> dict[str, Any]:
    """Return all settings that the verb may change."""
    rulesets = [github.ask("GET", f"/rulesets/{ruleset['id']}") for ruleset in github.ask("GET", "/rulesets")]
    return {
        "repository": {name: github.ask("GET", "").get(name) for name in github_setup.REPOSITORY},
        "labels": {label["name"]: (label["color"], label["description"]) for label in github.ask("GET", "/labels")},
        "rulesets": {ruleset["name"]: ruleset for ruleset in rulesets},
        "environments": [environment["name"] for environment in github.ask("GET", "/environments")["environments"]],
        "variables": {item["name"]: item["value"] for item in github.ask("GET", "/actions/variables")["variables"]},
    }


def test_a_new_repository_gets_all_settings_and_each_is_printed_once(
    github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["github-setup"]) == 0
    settings = read_settings(github)
    assert settings["repository"] == github_setup.REPOSITORY
    assert settings["labels"]["audit"] == ("b60205", "Found by the weekly audit")
    assert set(settings["rulesets"]) == {"main", "tags"}
    assert (
        settings["rulesets"]["main"]["rules"] == json.loads((ROOT / ".github/rulesets/main.json").read_text())["rules"]
    )
    assert (settings["environments"], settings["variables"]) == (["production"], {})
    assert github.invalid == []
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "changed repository",
        "changed label audit",
        "changed environment production",
        "changed ruleset main",
        "changed ruleset tags",
    ]
    assert len(github.changes) == len(lines)


def test_a_second_run_changes_nothing(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    main(["github-setup"])
    before, changes = read_settings(github), len(github.changes)
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out == "nothing to change in acme/fraud\n"
    assert (read_settings(github), len(github.changes)) == (before, changes)


def test_a_dry_run_prints_the_changes_and_makes_none(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["github-setup", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert github.changes == []
    main(["github-setup"])
    assert capsys.readouterr().out == printed.replace("would change", "changed")


def test_only_variables_of_the_environment_are_created_and_changed(
    github: GitHubFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models/one")
    monkeypatch.setenv("AWS_ROLE_ARN", "")
    main(["github-setup"])
    assert read_settings(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/one"}
    assert "changed variable DVC_REMOTE_URL: new -> s3://models/one" in capsys.readouterr().out
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models/two")
    main(["github-setup"])
    assert capsys.readouterr().out == "changed variable DVC_REMOTE_URL: s3://models/one -> s3://models/two\n"
    monkeypatch.delenv("DVC_REMOTE_URL")
    main(["github-setup"])
    assert read_settings(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/two"}
    assert github.invalid == []


def test_only_settings_that_differ_are_changed(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    main(["github-setup"])
    capsys.readouterr()
    (number,) = (ruleset["id"] for ruleset in github.ask("GET", "/rulesets") if ruleset["name"] == "main")
    changed = json.loads(json.dumps(github.ask("GET", f"/rulesets/{number}")))
    changed["rules"][4]["parameters"]["required_status_checks"].pop()
    github.ask("PUT", f"/rulesets/{number}", changed)
    github.ask("PATCH", "", {"allow_merge_commit": True})
    github.ask("PATCH", "/labels/audit", {"color": "ffffff"})
    before = len(github.changes)
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "changed repository: allow_merge_commit True -> False",
        "changed label audit",
        "changed ruleset main: rules",
    ]
    assert github.changes[before:] == ["PATCH /", "PATCH /labels/audit", f"PUT /rulesets/{number}"]
    assert github.invalid == []


def test_an_existing_environment_keeps_its_reviewers(github: GitHubFake) -> None:
    github.ask("PUT", "/environments/production", {"reviewers": [{"type": "User", "id": 1}]})
    main(["github-setup"])
    assert "PUT /environments/production" not in github.asked


def test_additional_fields_and_another_order_are_no_difference(github: GitHubFake) -> None:
    main(["github-setup"])
    for entry in github.ask("GET", "/rulesets"):
        ruleset = json.loads(json.dumps(github.ask("GET", f"/rulesets/{entry['id']}")))
        for rule in ruleset["rules"]:
            if rule["type"] == "pull_request":
                rule["parameters"] |= {"required_reviewers": [], "automatic_copilot_code_review_enabled": False}
            if rule["type"] == "required_status_checks":
                rule["parameters"]["required_status_checks"].reverse()
                del rule["parameters"]["do_not_enforce_on_create"]
        ruleset["rules"].reverse()
        github.ask("PUT", f"/rulesets/{entry['id']}", ruleset | {"source": REPOSITORY, "source_type": "Repository"})
    before = len(github.changes)
    assert main(["github-setup"]) == 0
    assert github.changes[before:] == []


def test_an_additional_rule_is_a_difference(github: GitHubFake) -> None:
    assert not github_setup.covers([{"type": "deletion"}], [{"type": "deletion"}, {"type": "creation"}])
    assert not github_setup.covers([{"type": "deletion"}], None)
    assert not github_setup.covers({"a": 1}, None)
    assert github_setup.covers([], None)


def test_the_error_of_a_token_without_permission_names_the_one_needed(
    github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    github.fail("PATCH", status=403, message="Must have admin rights to Repository.")
    assert main(["github-setup"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "Must have admin rights to Repository." in errors[0]
    assert "administrator's token" in errors[-1]


def test_a_plan_without_rulesets_gets_all_other_settings(github: GitHubFake) -> None:
    github.fail("*", "/rulesets", status=403, message="Upgrade to GitHub Pro or make this repository public")
    assert main(["github-setup"]) == 1
    settings = read_settings(github)  # not affected by `fail`
    assert (settings["repository"], settings["environments"]) == (github_setup.REPOSITORY, ["production"])


def test_a_second_run_completes_an_interrupted_one(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    github.fail("POST", "/rulesets$", status=422, times=1, message="Validation Failed")
    assert main(["github-setup"]) == 2
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out == "changed ruleset main: new\nchanged ruleset tags: new\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"target": "branch"}'])
def test_an_invalid_ruleset_file_is_named(place: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (place / ".github/rulesets/tags.json").write_text(text)
    assert main(["github-setup"]) == 2
    assert ".github/rulesets/tags.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/acme/fraud.git",
        "https://github.com/acme/fraud",
        "https://somebody@github.com/acme/fraud/",
        "git@github.com:acme/fraud.git",
        "ssh://git@github.com/acme/fraud.git",
        "ssh://git@ssh.github.com:443/acme/fraud.git",
    ],
)
def test_the_repository_is_read_from_origin(
    github: GitHubFake, place: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "remote", "add", "origin", origin], check=True)
    assert main(["github-setup", "--dry-run"]) == 0
    assert {request.path.split("/repos/")[1][:10] for request in github.requests} == {"acme/fraud"}


@pytest.mark.parametrize("origin", [None, "/srv/git/fraud.git", "../fraud", "file:///srv/acme/fraud.git"])
def test_a_repository_that_origin_does_not_name_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], origin: str | None
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY")
    subprocess.run(["git", "init", "--quiet"], check=True)
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], check=True)
    assert main(["github-setup"]) == 2
    assert "GITHUB_REPOSITORY not set" in capsys.readouterr().err


def test_an_origin_on_another_host_is_an_input_error(github: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_REPOSITORY", "GITHUB_API_URL"):
        monkeypatch.delenv(name)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@git.acme.example:acme/fraud.git"], check=True)
    with pytest.raises(InputError, match="origin is on git.acme.example") as error:
        github_setup._repository_of_origin()
    assert "https://git.acme.example/api/v3" in error.value.remedy


def test_the_placeholder_in_codeowners_is_reported(
    github: GitHubFake, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["github-setup"])
    assert "CODEOWNERS" not in capsys.readouterr().err  # acme's own repository
    owners = place / ".github/CODEOWNERS"
    assert github_setup.has_placeholder("beta/fraud", owners)
    owners.write_text(owners.read_text().replace("@acme/", "@beta/"))
    assert not github_setup.has_placeholder("beta/fraud", owners)
