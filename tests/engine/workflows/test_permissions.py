"""Permissions, secrets and untrusted code in the workflow files."""

import re

import pytest

from pipelines.publish.github_setup import DONE
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.lint import documents
from tests.engine.workflows.workflow_files import (
    CHECKOUTS,
    GITHUB,
    JOBS,
    WORKFLOWS,
    every_job,
    every_workflow,
    job_of,
    text_of,
)

PAGE = ROOT / "docs/pull-request.md"


PERMISSIONS: dict[tuple[str, str], dict[str, str]] = {
    ("audit.yml", "audit"): {"contents": "read", "issues": "write"},
    ("audit.yml", "verify"): {"contents": "read", "id-token": "write"},
    ("review.yml", "review"): {"contents": "read", "id-token": "write"},
    ("review.yml", "publish"): {"contents": "write", "pull-requests": "write", "checks": "write", "actions": "write"},
    ("review.yml", "keep"): {"contents": "read", "id-token": "write"},
    ("release.yml", "not-set-up"): {},
    ("release.yml", "verify"): {"contents": "read", "id-token": "write"},
    ("release.yml", "release"): {
        "contents": "write",
        "packages": "write",
        "id-token": "write",
        "attestations": "write",
        "actions": "read",
        "checks": "read",
        "pull-requests": "read",
    },
    ("release-check.yml", "release-check"): {"contents": "read", "actions": "write"},
    ("monitor.yml", "not-set-up"): {},
    ("monitor.yml", "monitor"): {
        "contents": "write",
        "pull-requests": "write",
        "checks": "write",
        "actions": "write",
        "issues": "write",
        "id-token": "write",
    },
    ("retrain.yml", "not-set-up"): {},
    ("retrain.yml", "retrain"): {
        "contents": "write",
        "pull-requests": "write",
        "checks": "write",
        "actions": "write",
        "id-token": "write",
    },
    ("report-fork.yml", "report-fork"): {"contents": "read", "actions": "read", "pull-requests": "write"},
    ("rollback.yml", "not-set-up"): {},
    ("rollback.yml", "rollback"): {
        "contents": "write",
        "pull-requests": "write",
        "checks": "write",
        "actions": "write",
        "id-token": "write",
    },
    ("rollout.yml", "not-set-up"): {},
    ("rollout.yml", "setting"): {"contents": "read"},
    ("rollout.yml", "rollout"): {
        "contents": "write",
        "actions": "write",
        "issues": "write",
        "packages": "write",
        "id-token": "write",
    },
    ("test.yml", "test"): {"contents": "read"},
    ("test.yml", "test-macos"): {"contents": "read"},
    ("test.yml", "test-release"): {"contents": "read"},
}


# Workflow, job and step -> the secrets besides GitHub's token that it gets, and no other step.
OF_THE_RELEASE = {
    "PREDICTION_LOG_SALT",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DEPLOY_CREDENTIALS",
}
SECRETS = {
    ("release.yml", "release", "release"): OF_THE_RELEASE,
    ("rollout.yml", "rollout", "rollout"): OF_THE_RELEASE,
    ("review.yml", "publish", "bot"): {"BOT_PRIVATE_KEY"},
    ("rollback.yml", "rollback", "bot"): {"BOT_PRIVATE_KEY"},
    ("monitor.yml", "monitor", "monitor"): {"MONITOR_WEBHOOK", "PUSHGATEWAY_URL"},
}


# True where the head is a branch of this repository. `head.repo.fork` would be wrong: a team's repository may itself be
# a fork, and a pull request may come from the repository that it was forked from.
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


# True for a pull request whose run may get credentials: it is not of a fork, and not opened by Dependabot.
TRUSTED = f"{SAME_REPOSITORY} && github.event.pull_request.user.login != 'dependabot[bot]'"


def runs_foreign_code(workflow: str, job: str) -> bool:
    """Return whether a job may run code of somebody without write access."""
    guard = str(job_of(workflow, job).get("if", ""))
    events = WORKFLOWS[workflow]["on"]
    return "pull_request" in events and SAME_REPOSITORY not in guard and "github.event_name == 'push'" not in guard


def test_no_workflow_uses_pull_request_target():
    assert [name for name, workflow in WORKFLOWS.items() if "pull_request_target" in workflow["on"]] == []


@every_workflow
def test_a_workflow_has_no_permissions_for_all_jobs(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {}


@every_job
def test_a_job_has_the_listed_permissions(workflow, job):
    assert job_of(workflow, job)["permissions"] == PERMISSIONS[workflow, job]


def test_the_documents_list_permissions_and_secrets_of_every_job():
    rows = re.findall(r"(?m)^\| (\S+\.yml) \| (\S+) \|[^|]*\|([^|]*)\|([^|]*)\|$", PAGE.read_text(encoding="utf-8"))
    listed = [
        ((workflow, job), dict(re.findall(r"([a-z-]+): (read|write)", permissions)))
        for workflow, job, permissions, _ in rows
    ]
    assert sorted(listed) == sorted(((each, job), job_of(each, job)["permissions"]) for each, job in JOBS)
    without = {(workflow, job) for workflow, job, _, secrets in rows if secrets.strip() == "none"}
    assert without == {each for each in JOBS if not re.search(r"\bsecrets\.|github\.token", text_of(job_of(*each)))}


def test_each_secret_is_passed_to_one_step_and_documented():
    found: dict[tuple[str, str, str], set[str]] = {}
    for workflow, job in JOBS:
        for step in job_of(workflow, job)["steps"]:
            for name, secret in re.findall(r"(?m)^ *(\S+): \$\{\{ secrets\.(\w+) \}\}$", text_of(step)):
                assert name in (secret, "private-key")
                found.setdefault((workflow, job, step["name"]), set()).add(secret)
    assert found == SECRETS
    everywhere = "".join(path.read_text(encoding="utf-8") for path in documents(GITHUB))
    assert len(re.findall(r"\bsecrets\b(?!-outside-env)", everywhere)) == sum(map(len, SECRETS.values()))
    page = PAGE.read_text(encoding="utf-8")
    for (workflow, job, _), names in SECRETS.items():
        (row,) = re.findall(rf"(?m)^\| {re.escape(workflow)} \| {job} \|.*$", page)
        assert names <= set(re.findall(r"\w+", row))


def test_jobs_that_are_started_by_hand_and_write_contents_run_only_on_main():
    by_hand = [(name, job) for name, job in JOBS if "workflow_dispatch" in WORKFLOWS[name]["on"]]
    writing = [each for each in by_hand if PERMISSIONS[each].get("contents") == "write"]
    assert writing == [
        ("monitor.yml", "monitor"),
        ("release.yml", "release"),
        ("retrain.yml", "retrain"),
        ("rollback.yml", "rollback"),
        ("rollout.yml", "rollout"),
    ]
    assert all("github.ref == 'refs/heads/main' &&" in job_of(*each)["if"] for each in writing)


@pytest.mark.parametrize(("workflow", "job", "given"), CHECKOUTS)
def test_no_checkout_stores_the_token(workflow, job, given):
    assert given.get("persist-credentials") is False


def test_a_job_with_write_permissions_does_not_check_out_a_pull_request():
    for workflow, job, given in CHECKOUTS:
        writes = {name for name, level in PERMISSIONS[workflow, job].items() if level == "write"} - {"id-token"}
        if writes and "pull_request" in WORKFLOWS[workflow]["on"]:
            assert given.get("ref") == "${{ github.event.pull_request.base.sha }}", (workflow, job)
        elif writes:
            assert not {"ref", "repository"} & set(given), (workflow, job)


@every_job
def test_a_job_that_runs_code_of_a_fork_has_no_secret_and_no_write_permission(workflow, job):
    if runs_foreign_code(workflow, job):
        part = job_of(workflow, job)
        assert not re.search(r"\bsecrets\b|github\.token", text_of(part))
        # GitHub gives no OIDC token to the run of a fork.
        assert {name for name, level in part["permissions"].items() if level == "write"} <= {"id-token"}


def test_only_these_jobs_run_code_of_forks():
    jobs = {job for workflow, job in JOBS if runs_foreign_code(workflow, job)}
    assert jobs == {"review", "test", "test-macos", "test-release"}


@every_workflow
def test_a_workflow_run_job_reads_data_of_a_fork_only_from_the_api(workflow):
    if "workflow_run" in WORKFLOWS[workflow]["on"]:
        used = text_of(WORKFLOWS[workflow]["jobs"])
        # The only use of the branch name is this condition, which grants nothing.
        used = used.replace("startsWith(github.event.workflow_run.head_branch, 'dependabot/')", "")
        assert "download-artifact" not in used
        assert not re.search(r"workflow_run\.(head_branch|head_commit|display_title|pull_requests)", used)


def test_only_a_trusted_review_and_the_release_have_an_environment_that_a_role_trusts():
    """An environment decides the subject of the OIDC token: docs/github.md, The DVC remote."""
    environments = {each: job_of(*each)["environment"] for each in JOBS if "environment" in job_of(*each)}
    for name in ("release", "rollout"):
        assert environments.pop((f"{name}.yml", name)) == "production"
    assert environments.pop(("review.yml", "review")) == {
        "name": f"${{{{ (github.event_name != 'pull_request' || {TRUSTED}) && 'review' || 'untrusted' }}}}",
        "deployment": False,
    }
    assert environments == {}


def test_the_release_and_what_reads_the_prediction_log_assume_roles_of_their_own():
    roles = {
        each: step["with"]["role"]
        for each in JOBS
        for step in job_of(*each)["steps"]
        if step.get("uses") == "./.github/actions/storage"
    }
    for name in ("release", "rollout"):
        assert roles.pop((f"{name}.yml", name)) == "${{ vars.AWS_RELEASE_ROLE_ARN }}"
    # The prediction log is not for the code of pull requests, which runs with the role of reviews.
    assert {roles.pop((f"{name}.yml", name)) for name in ("monitor", "retrain")} == {"${{ vars.AWS_MONITOR_ROLE_ARN }}"}
    assert set(roles.values()) == {"${{ vars.AWS_ROLE_ARN }}"}


def test_the_release_reads_variables_where_those_of_its_environment_go_before_the_repositorys():
    """Any collaborator can change variables of the repository, and only administrators those of an environment.

    In the variables of a whole workflow, those of an environment do not exist.
    """
    assert WORKFLOWS["release.yml"]["env"].keys() == {"DVC_REMOTE_URL"}
    assert job_of("release.yml", "release")["env"] == {
        "VERIFIED_COMMIT": "${{ needs.verify.outputs.commit }}",
        "IMAGE_SIGNER": "${{ vars.SIGN_IMAGES == 'true' && format("
        "'{0}/{1}/.github/workflows/release.yml@refs/heads/main', github.server_url, github.repository) || '' }}",
        "IMAGE_REPOSITORY": "${{ vars.IMAGE_REPOSITORY || format('ghcr.io/{0}', github.repository) }}",
    }


@pytest.mark.parametrize("workflow", ["release.yml", "rollback.yml", "rollout.yml", "monitor.yml", "retrain.yml"])
def test_nothing_is_written_before_github_setup_ran(workflow):
    """The first push of a copy would release, with tags that can never be deleted."""
    jobs = WORKFLOWS[workflow]["jobs"]
    (step,) = jobs["not-set-up"]["steps"]
    assert (jobs["not-set-up"]["if"], jobs["not-set-up"]["permissions"]) == (f"vars.{DONE} != 'true'", {})
    assert "make github-setup" in step["run"]
    for name in jobs.keys() - {"not-set-up"}:
        assert jobs[name]["if"].startswith(f"github.ref == 'refs/heads/main' && vars.{DONE} == 'true'"), name
        assert "||" not in jobs[name]["if"]


def test_jobs_that_write_restore_no_cache_that_tests_can_fill():
    """The tests of a pull request, and tests/team on main, which has no owner, can put packages into uv's cache."""
    writing = [
        each for each in JOBS if {name for name, level in PERMISSIONS[each].items() if level == "write"} - {"id-token"}
    ]
    assert ("release.yml", "release") in writing and ("review.yml", "publish") in writing
    for each in writing:
        for step in job_of(*each)["steps"]:
            if step.get("uses") == "./.github/actions/setup":
                assert step.get("with", {}).get("package-cache") == "false", each
        if "pull_request" in WORKFLOWS[each[0]]["on"]:
            assert not any(step.get("uses", "").startswith("actions/cache") for step in job_of(*each)["steps"])


def test_only_a_review_that_ran_to_its_end_is_reported_for_a_fork():
    """A run that was cancelled, or that waits for an approval, is completed as well, and has no artifact."""
    guard = job_of("report-fork.yml", "report-fork")["if"]
    assert guard.startswith('contains(fromJSON(\'["success", "failure"]\'), github.event.workflow_run.conclusion) && ')


def test_a_missed_release_is_looked_for_only_on_main_and_after_github_setup_ran():
    guard = job_of("release-check.yml", "release-check")["if"]
    assert guard == f"github.ref == 'refs/heads/main' && vars.{DONE} == 'true'"


def test_a_review_of_a_fork_or_dependabot_reaches_no_remote():
    steps = job_of("review.yml", "review")["steps"]
    (storage,) = [step["if"] for step in steps if step.get("uses") == "./.github/actions/storage"]
    assert storage == f"vars.AWS_ROLE_ARN != '' && (github.event_name == 'merge_group' || {TRUSTED})"
    (push,) = [step["if"] for step in steps if step.get("run") == "make push"]
    assert f"&& {TRUSTED} }}}}" in push and "||" not in push


def test_a_review_compares_the_head_with_its_base():
    """Not the merge of both, which GitHub checks out by default and nobody can merge."""
    steps = job_of("review.yml", "review")["steps"]
    (ref,) = [step["with"]["ref"] for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert ref == "${{ github.event.pull_request.head.sha || github.sha }}"
    (base,) = [step["env"]["BASE"] for step in steps if step.get("id") == "review"]
    assert base == "${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha }}"


@every_workflow
def test_forks_are_recognized_by_their_repository(workflow):
    """A team's repository may be a fork itself: `head.repo.fork` would then be true for its own branches."""
    assert "head.repo.fork" not in text_of(WORKFLOWS[workflow])


def test_publish_gets_the_outcome_of_the_step_and_not_of_the_job():
    """The job also fails if the commit lacks what the review reproduced."""
    assert job_of("review.yml", "review")["outputs"] == {"outcome": "${{ steps.review.outcome }}"}
    step = next(step for step in job_of("review.yml", "publish")["steps"] if step.get("name") == "publish")
    assert step["env"]["OUTCOME"] == "${{ needs.review.outputs.outcome }}"
    (step,) = [step for step in job_of("review.yml", "review")["steps"] if step.get("id") == "review"]
    assert step["run"] == "make review" and "continue-on-error" not in step


@every_job
def test_steps_that_publish_get_the_token(workflow, job):
    for step in job_of(workflow, job)["steps"]:
        if re.match(r"make publish", step.get("run", "")):
            assert step["env"]["GITHUB_TOKEN"] == "${{ github.token }}"


def test_a_model_is_trained_again_in_jobs_that_cannot_write_and_are_not_in_production():
    trains = [
        (name, job, step)
        for name, job in JOBS
        for step in job_of(name, job)["steps"]
        if step.get("run", "").startswith("make verify")
    ]
    assert [(name, job) for name, job, _ in trains] == [
        ("audit.yml", "verify"),
        ("release.yml", "verify"),
        ("review.yml", "review"),
    ]
    for name, job, step in trains:
        part = job_of(name, job)
        assert {key for key, level in part["permissions"].items() if level == "write"} <= {"id-token"}
        assert "production" not in text_of(part.get("environment")) and not re.search(
            r"\bsecrets\b|github\.token", text_of(part)
        )
        assert "continue-on-error" not in step
    assert trains[2][2]["if"] == "github.event_name == 'merge_group'"
    # A job that trained nothing vouches for nothing.
    release = job_of("release.yml", "release")
    assert release["needs"] == "verify"
    assert release["env"]["VERIFIED_COMMIT"] == "${{ needs.verify.outputs.commit }}"
    commit = job_of("release.yml", "verify")["outputs"]["commit"]
    assert commit == "${{ steps.verify.outcome == 'success' && github.sha || '' }}"
