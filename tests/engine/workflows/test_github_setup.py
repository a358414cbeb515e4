"""`make github-setup` on the fake GitHub, which checks every request (needs `make workflow-tools`)."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from pipelines.publish import github_setup
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


def changed_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed about changes."""
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("changed ")]


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
    assert settings["environments"] == ["production", "review", "untrusted"]
    assert settings["variables"] == {github_setup.DONE: "true"}
    assert github.invalid == []
    lines = changed_lines(capsys)
    assert [line.split(":")[0] for line in lines] == [
        "changed repository",
        "changed label audit",
        "changed label monitor",
        "changed label rollout",
        "changed ruleset main",
        "changed ruleset tags",
        "changed environment production",
        "changed environment production",
        "changed environment review",
        "changed environment untrusted",
        "changed variable MAINLINE_SETUP",
    ]
    assert len(github.changes) == len(lines)


def test_a_default_branch_of_another_name_ends_with_2_and_the_command_that_renames_it(
    github: GitHubFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github.ask("PATCH", "", {"default_branch": "main"})
    call = GitHub.call

    def answer(self: GitHub, method: str, path: str, body: Any = None) -> Any:
        document = call(self, method, path, body)
        return {**document, "default_branch": "trunk/a"} if (method, path) == ("GET", "") else document

    monkeypatch.setattr(GitHub, "call", answer)
    assert main(["github-setup"]) == 2
    assert github.changes == []
    command = "gh api -X POST repos/acme/fraud/branches/trunk%2Fa/rename -f new_name=main"
    assert command in capsys.readouterr().err.splitlines()[-1]


def test_the_trust_policies_have_the_subjects_that_github_names(
    github: GitHubFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["github-setup"])
    assert "Trust policy" not in capsys.readouterr().out  # nothing needs a role
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/fraud-dvc")
    main(["github-setup"])
    printed = capsys.readouterr().out
    review, monitor, release = (
        json.loads(part.partition("\n")[2]) for part in printed.split("Trust policy of the role")[1:]
    )
    claim = "token.actions.githubusercontent.com:sub"
    subjects = [policy["Statement"][0]["Condition"]["StringEquals"][claim] for policy in (review, monitor, release)]
    prefix = "repo:acme@1/fraud@2"
    assert subjects[0] == [f"{prefix}:environment:review", f"{prefix}:ref:refs/heads/main"]
    assert subjects[1:] == [[f"{prefix}:ref:refs/heads/main"], [f"{prefix}:environment:production"]]
    assert review["Statement"][0]["Principal"]["Federated"].startswith("arn:aws:iam::123456789012:oidc-provider/")
    assert "ACCOUNT" in release["Statement"][0]["Principal"]["Federated"]


@pytest.mark.parametrize("allowed", [True, False])
def test_it_says_whether_workflows_may_open_pull_requests_and_does_not_change_it(
    github: GitHubFake, capsys: pytest.CaptureFixture[str], allowed: bool
) -> None:
    github.may_open_pulls = allowed
    main(["github-setup"])
    assert ("Workflows may not open pull requests" in capsys.readouterr().out) == (not allowed)
    assert "PUT /actions/permissions/workflow" not in github.asked


def test_a_runner_of_ones_own_in_a_public_repository_is_warned_of(
    github: GitHubFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELEASE_RUNNER", "our-host")
    main(["github-setup"])
    assert "RELEASE_RUNNER is 'our-host' in a public repository" in capsys.readouterr().err
    github.ask("PATCH", "", {"private": True})
    main(["github-setup"])
    assert "RELEASE_RUNNER" not in capsys.readouterr().err


def test_a_second_run_changes_nothing(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    main(["github-setup"])
    before, changes = read_settings(github), len(github.changes)
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert capsys.readouterr().out.startswith("nothing to change in acme/fraud\n")
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
    done = {github_setup.DONE: "true"}
    assert read_settings(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/one"} | done
    assert "changed variable DVC_REMOTE_URL: new -> s3://models/one" in capsys.readouterr().out
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://models/two")
    main(["github-setup"])
    assert capsys.readouterr().out.startswith("changed variable DVC_REMOTE_URL: s3://models/one -> s3://models/two\n")
    monkeypatch.delenv("DVC_REMOTE_URL")
    main(["github-setup"])
    assert read_settings(github)["variables"] == {"DVC_REMOTE_URL": "s3://models/two"} | done
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
    assert changed_lines(capsys) == [
        "changed repository: allow_merge_commit True -> False",
        "changed label audit",
        "changed ruleset main: rules",
    ]
    assert github.changes[before:] == ["PATCH /", "PATCH /labels/audit", f"PUT /rulesets/{number}"]
    assert github.invalid == []


def test_production_takes_only_main_and_keeps_its_reviewers_and_timer(github: GitHubFake) -> None:
    own = {"reviewers": [{"type": "User", "id": 1}], "wait_timer": 5, "prevent_self_review": False}
    github.ask("PUT", "/environments/production", own)
    policies = "/environments/production/deployment-branch-policies"
    main(["github-setup"])
    github.ask("POST", policies, {"name": "release/*", "type": "branch"})
    main(["github-setup"])
    environment = github.ask("GET", "/environments/production")
    assert {name: environment[name] for name in own} == own
    assert environment["deployment_branch_policy"] == {"protected_branches": False, "custom_branch_policies": True}
    assert [policy["name"] for policy in github.ask("GET", policies)["branch_policies"]] == ["main"]
    assert github.invalid == []


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


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_private_repository_whose_plan_lacks_rulesets_and_environments_gets_the_rest(
    github: GitHubFake, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    github.ask("PATCH", "", {"private": True})
    github.fail("*", "/rulesets", status=403, message="Upgrade to GitHub Pro or make this repository public")
    github.fail("PUT", "/environments/", status=status, message="The plan lacks it")
    assert main(["github-setup"]) == 1
    settings = read_settings(github)  # not affected by `fail`
    assert (settings["repository"], settings["environments"]) == (github_setup.REPOSITORY, [])
    assert settings["variables"] == {github_setup.DONE: "true"}
    error = capsys.readouterr().err
    assert "push to main without a review" in error and "The plan lacks it" in error and "free plan" in error


def test_a_public_repository_without_rulesets_is_not_set_up(github: GitHubFake) -> None:
    github.fail("*", "/rulesets", status=403, message="Resource not accessible by personal access token")
    assert main(["github-setup"]) == 1
    assert read_settings(github)["variables"] == {}


def test_a_second_run_completes_an_interrupted_one(github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    github.fail("POST", "/rulesets$", status=422, times=1, message="Validation Failed")
    assert main(["github-setup"]) == 2
    capsys.readouterr()
    assert main(["github-setup"]) == 0
    assert changed_lines(capsys)[:2] == ["changed ruleset main: new", "changed ruleset tags: new"]


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
