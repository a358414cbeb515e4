"""`make github-setup` against emulate, with every request held against GitHub's description (`make workflow-tools`)."""

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
from tests.engine.workflows.github_fake import ALICE, REPOSITORY, GitHubFake

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def place(github: GitHubFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rulesets alone, and an environment that names the fake."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    monkeypatch.chdir(tmp_path)
    for name in github_setup.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GITHUB_TOKEN", ALICE)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    return tmp_path


def kept(github: GitHubFake) -> dict[str, Any]:
    """All that the verb may change, as GitHub has it."""
    rulesets = [github.ask("GET", f"/rulesets/{one['id']}") for one in github.ask("GET", "/rulesets")]
    return {
        "repository": {name: github.ask("GET", "").get(name) for name in github_setup.REPOSITORY},
        "labels": {one["name"]: (one["color"], one["description"]) for one in github.ask("GET", "/labels")},
        "rulesets": {one["name"]: one for one in rulesets},
        "environments": [one["name"] for one in github.ask("GET", "/environments")["environments"]],
        "variables": {one["name"]: one["value"] for one in github.ask("GET", "/actions/variables")["variables"]},
    }


def test_a_new_repository_gets_all_settings_and_each_is_said_once(
    github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["github-setup"]) == 0
    found = kept(github)
    assert found["repository"] == github_setup.REPOSITORY
    assert found["labels"]["audit"] == ("b60205", "Found by the weekly audit")
    assert set(found["rulesets"]) == {"main", "tags"}
    assert found["rulesets"]["main"]["rules"] == json.loads((ROOT / ".github/rulesets/main.json").read_text())["rules"]
    assert (found["environments"], found["variables"]) == (["production"], {})
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


def test_the_second_time_nothing_is_written(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    main(["github-setup"])
    before, changes = kept(github), len(github.changes)
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out == "nothing to change in acme/fraud\n"
    assert (kept(github), len(github.changes)) == (before, changes)


def test_a_dry_run_says_the_same_and_writes_nothing(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["github-setup", "--dry-run"]) == 0
    foretold = capsys.readouterr().out
    assert github.changes == []
    main(["github-setup"])
    assert capsys.readouterr().out == foretold.replace("would change", "changed")


def test_variables_are_made_and_changed_only_where_they_are_given(
    github: GitHubFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models/one")
    monkeypatch.setenv("AWS_ROLE_ARN", "")
    main(["github-setup"])
    assert kept(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/one"}
    assert "changed variable DVC_REMOTE_URL: new -> s3://models/one" in capsys.readouterr().out
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models/two")
    main(["github-setup"])
    assert capsys.readouterr().out == "changed variable DVC_REMOTE_URL: s3://models/one -> s3://models/two\n"
    monkeypatch.delenv("DVC_REMOTE_URL")
    main(["github-setup"])
    assert kept(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/two"}
    assert github.invalid == []


def test_what_somebody_loosened_by_hand_is_put_right_and_only_that(
    github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["github-setup"])
    capsys.readouterr()
    (number,) = (one["id"] for one in github.ask("GET", "/rulesets") if one["name"] == "main")
    loosened = json.loads(json.dumps(github.ask("GET", f"/rulesets/{number}")))
    loosened["rules"][4]["parameters"]["required_status_checks"].pop()
    github.ask("PUT", f"/rulesets/{number}", loosened)
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


def test_an_environment_that_is_there_keeps_its_reviewers(github: GitHubFake) -> None:
    github.ask("PUT", "/environments/production", {"reviewers": [{"type": "User", "id": 1}]})
    main(["github-setup"])
    assert "PUT /environments/production" not in github.asked


def test_fields_and_orders_of_githubs_own_are_no_difference(github: GitHubFake) -> None:
    main(["github-setup"])
    for one in github.ask("GET", "/rulesets"):
        found = json.loads(json.dumps(github.ask("GET", f"/rulesets/{one['id']}")))
        for rule in found["rules"]:
            if rule["type"] == "pull_request":
                rule["parameters"] |= {"required_reviewers": [], "automatic_copilot_code_review_enabled": False}
            if rule["type"] == "required_status_checks":
                rule["parameters"]["required_status_checks"].reverse()
                del rule["parameters"]["do_not_enforce_on_create"]
        found["rules"].reverse()
        github.ask("PUT", f"/rulesets/{one['id']}", found | {"source": REPOSITORY, "source_type": "Repository"})
    before = len(github.changes)
    assert main(["github-setup"]) == 0
    assert github.changes[before:] == []


def test_a_rule_too_much_is_a_difference(github: GitHubFake) -> None:
    assert not github_setup.covers([{"type": "deletion"}], [{"type": "deletion"}, {"type": "creation"}])
    assert not github_setup.covers([{"type": "deletion"}], None)
    assert not github_setup.covers({"a": 1}, None)
    assert github_setup.covers([], None)


def test_a_token_without_the_right_is_told_which_one_is_needed(
    github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    github.fail("PATCH", status=403, message="Must have admin rights to Repository.")
    assert main(["github-setup"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "Must have admin rights to Repository." in said[0]
    assert "administrator's token" in said[-1]


def test_where_a_plan_has_no_rulesets_all_else_is_applied_first(github: GitHubFake) -> None:
    github.fail("*", "/rulesets", status=403, message="Upgrade to GitHub Pro or make this repository public")
    assert main(["github-setup"]) == 1
    found = kept(github)  # which goes past the faults
    assert (found["repository"], found["environments"]) == (github_setup.REPOSITORY, ["production"])


def test_ended_in_the_middle_it_goes_on_where_it_was(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    github.fail("POST", "/rulesets$", status=422, times=1, message="Validation Failed")
    assert main(["github-setup"]) == 2
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out == "changed ruleset main: new\nchanged ruleset tags: new\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"target": "branch"}'])
def test_a_file_that_is_no_ruleset_is_named(place: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
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
def test_the_repository_is_the_one_of_origin(
    github: GitHubFake, place: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "remote", "add", "origin", origin], check=True)
    assert main(["github-setup", "--dry-run"]) == 0
    assert {request.path.split("/repos/")[1][:10] for request in github.requests} == {"acme/fraud"}


@pytest.mark.parametrize("origin", [None, "/srv/git/fraud.git", "../fraud", "file:///srv/acme/fraud.git"])
def test_without_such_an_origin_the_repository_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], origin: str | None
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY")
    subprocess.run(["git", "init", "--quiet"], check=True)
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], check=True)
    assert main(["github-setup"]) == 2
    assert "GITHUB_REPOSITORY not set" in capsys.readouterr().err


def test_a_token_of_another_host_does_not_go_to_github_com(github: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_REPOSITORY", "GITHUB_API_URL"):
        monkeypatch.delenv(name)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@git.acme.example:acme/fraud.git"], check=True)
    with pytest.raises(InputError, match="origin is on git.acme.example") as error:
        github_setup._origin()
    assert "https://git.acme.example/api/v3" in error.value.remedy


def test_the_placeholder_of_the_owners_is_pointed_out(
    github: GitHubFake, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["github-setup"])
    assert "CODEOWNERS" not in capsys.readouterr().err  # acme's own repository
    owners = place / ".github/CODEOWNERS"
    assert github_setup.placeholder("beta/fraud", owners)
    owners.write_text(owners.read_text().replace("@acme/", "@beta/"))
    assert not github_setup.placeholder("beta/fraud", owners)
