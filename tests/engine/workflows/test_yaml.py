"""What the workflow files say, where act does not enforce it: triggers, permissions, pins, guards; and the linters.

The linters need the tools of `make workflow-tools`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.workflows.acting import STANDINS, USES
from tests.engine.workflows.github_fake import GitHubFake
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.lint import LINTERS, documents, scripts

GITHUB = ROOT / ".github"
PAGE = ROOT / "docs/pull-request.md"
PINNED = {
    "actions/attest-build-provenance": ("a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32", "v4.1.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "anchore/sbom-action": ("e22c389904149dbc22b58101806040fa8d37a610", "v0.24.0"),
    "astral-sh/setup-uv": ("20cfd1bf945f4377ade1205e4dbc17946fc9a30d", "v10.0.1"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
    "docker/login-action": ("4907a6ddec9925e35a0a9e82d7399ccc52663121", "v4.1.0"),
    "iterative/setup-cml": ("f12ea7685438c1fc438d50f77519b3860cf5fa98", "v2.0.1"),
    "sigstore/cosign-installer": ("6f9f17788090df1f26f669e9d70d6ae9567deba6", "v4.1.2"),
}
TRIGGERS: dict[str, dict[str, Any]] = {
    "audit.yml": {"schedule": [{"cron": "23 5 * * 1"}], "workflow_dispatch": None},
    "review.yml": {"pull_request": None, "merge_group": None, "push": {"branches": ["main"]}},
    "release.yml": {"push": {"branches": ["main"]}, "workflow_dispatch": None},
    "report-fork.yml": {"workflow_run": {"workflows": ["review"], "types": ["completed"]}},
    "rollback.yml": {
        "workflow_dispatch": {
            "inputs": {
                "to": {
                    "description": "A version such as fraud@v1.2.0; empty for the release before this one",
                    "type": "string",
                    "default": "",
                }
            }
        }
    },
    "test.yml": {
        "pull_request": None,
        "merge_group": None,
        "push": {"branches": ["main"]},
        "workflow_dispatch": None,
    },
}
PERMISSIONS: dict[tuple[str, str], dict[str, str]] = {
    ("audit.yml", "audit"): {"contents": "read", "issues": "write"},
    ("audit.yml", "verify"): {"contents": "read", "id-token": "write"},
    ("review.yml", "review"): {"contents": "read", "id-token": "write"},
    ("review.yml", "publish"): {"contents": "write", "pull-requests": "write", "checks": "write", "actions": "write"},
    ("review.yml", "keep"): {"contents": "read", "id-token": "write"},
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
    ("report-fork.yml", "report-fork"): {"contents": "read", "actions": "read", "pull-requests": "write"},
    ("rollback.yml", "rollback"): {
        "contents": "write",
        "pull-requests": "write",
        "checks": "write",
        "actions": "write",
        "id-token": "write",
    },
    ("test.yml", "test"): {"contents": "read"},
    ("test.yml", "test-release"): {"contents": "read"},
}
# Workflow, job and step -> the secrets besides GitHub's token that it gets, and no other step.
SECRETS = {
    ("release.yml", "release", "release"): {
        "PREDICTION_LOG_SALT",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    }
}
# Whether a pull request's run may have what a fork's must not: it is no fork's, and Dependabot did not open it.
TRUSTED = (
    "github.event.pull_request.head.repo.full_name == github.repository"
    " && github.event.pull_request.user.login != 'dependabot[bot]'"
)
ENVIRONMENT = {
    "review.yml": {
        "DVC_REMOTE_URL": f"${{{{ (github.event_name != 'pull_request' || {TRUSTED}) && vars.DVC_REMOTE_URL || '' }}}}"
    },
    "release.yml": {
        "DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}",
        "IMAGE_SIGNER": "${{ vars.SIGN_IMAGES == 'true' && format("
        "'{0}/{1}/.github/workflows/release.yml@refs/heads/main', github.server_url, github.repository) || '' }}",
        "IMAGE_REPOSITORY": "${{ vars.IMAGE_REPOSITORY || format('ghcr.io/{0}', github.repository) }}",
    },
    "rollback.yml": {"DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}"},
}
# Group, and whether a newer run cancels an older one. A release that has begun ends; so does what main keeps.
CONCURRENCY = {
    "audit.yml": ("audit", False),
    "release.yml": ("release", False),
    "report-fork.yml": ("report-fork-${{ github.event.workflow_run.id }}", False),
    "review.yml": (
        "review-${{ github.event.pull_request.number || github.ref }}",
        "${{ github.event_name == 'pull_request' }}",
    ),
    "rollback.yml": ("rollback", False),
    "test.yml": ("test-${{ github.ref }}-${{ github.event_name }}", True),
}
# What sets a step's outputs in Python.
TELLS = {"make release-image": ROOT / "pipelines/release/build_ahead.py"}
# True where the head is a branch of this repository. `head.repo.fork` would be wrong: a team's repository may itself be
# a fork, and a pull request may come from the repository that it was forked from.
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["on"] = document.pop(True, document.get("on"))  # YAML 1.1 takes `on` for true
    return document


WORKFLOWS = {path.name: read(path) for path in sorted(GITHUB.glob("workflows/*.yml"))}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
CHECKOUTS = [
    (name, job, step.get("with", {}))
    for name, job in JOBS
    for step in WORKFLOWS[name]["jobs"][job]["steps"]
    if step.get("uses", "").startswith("actions/checkout@")
]
every_job = pytest.mark.parametrize(("workflow", "job"), JOBS)
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS)


def the(workflow: str, job: str) -> dict[str, Any]:
    return WORKFLOWS[workflow]["jobs"][job]


def text_of(part: Any) -> str:
    return yaml.safe_dump(part, width=10_000)


def runs_foreign_code(workflow: str, job: str) -> bool:
    """Whether a job may run what somebody without write access wrote."""
    guard = str(the(workflow, job).get("if", ""))
    events = WORKFLOWS[workflow]["on"]
    return "pull_request" in events and SAME_REPOSITORY not in guard and "github.event_name == 'push'" not in guard


@pytest.mark.parametrize(
    ("linter", "text"),
    [
        ("schemas", "on: push\njobs: {a: {runs-on: x, stepz: []}}"),
        ("actionlint", "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ needs.b.result }}'}]}}"),
        ("zizmor", "on: push\njobs: {a: {runs-on: x, steps: [{uses: 'a/b@v1'}]}}"),
        ("shellcheck", "on: push\njobs: {a: {runs-on: x, steps: [{run: 'cd $x; rm *'}]}}"),
    ],
)
def test_a_linter_finds_something(linter, text, tmp_path):
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/wrong.yml").write_text(text)
    assert next(each for each in LINTERS if each.__name__ == linter)(tmp_path) != []


def test_a_finding_that_is_left_says_why():
    texts = "\n".join(path.read_text(encoding="utf-8") for path in documents(GITHUB))
    assert [
        line for line in re.findall(r".*zizmor: ignore.*", texts) if not re.search(r"ignore\[[\w-]+\] \w+", line)
    ] == []


def test_every_workflow_is_one_that_was_designed():
    assert set(WORKFLOWS) == set(TRIGGERS)
    assert set(JOBS) == set(PERMISSIONS)


@every_workflow
def test_a_workflow_starts_at_exactly_its_events(workflow):
    assert WORKFLOWS[workflow]["on"] == TRIGGERS[workflow]


def test_the_workflow_that_waits_for_another_names_it_rightly():
    named = [
        name for each in WORKFLOWS.values() for name in (each["on"].get("workflow_run") or {}).get("workflows", [])
    ]
    assert set(named) <= {each["name"] for each in WORKFLOWS.values()}


def test_no_workflow_gives_a_forks_pull_request_the_rights_of_main():
    assert [name for name, workflow in WORKFLOWS.items() if "pull_request_target" in workflow["on"]] == []


@every_workflow
def test_a_workflow_gives_no_permission_to_all_its_jobs(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {}


@every_job
def test_a_job_has_exactly_its_permissions(workflow, job):
    assert the(workflow, job)["permissions"] == PERMISSIONS[workflow, job]


def test_the_page_for_reviewers_tells_every_jobs_permissions_and_secrets():
    rows = re.findall(r"(?m)^\| (\S+\.yml) \| (\S+) \|[^|]*\|([^|]*)\|([^|]*)\|$", PAGE.read_text(encoding="utf-8"))
    told = [((workflow, job), dict(re.findall(r"([a-z-]+): (read|write)", said))) for workflow, job, said, _ in rows]
    assert sorted(told) == sorted(((each, job), the(each, job)["permissions"]) for each, job in JOBS)
    without = {(workflow, job) for workflow, job, _, secrets in rows if secrets.strip() == "none"}
    assert without == {each for each in JOBS if not re.search(r"\bsecrets\.|github\.token", text_of(the(*each)))}


def test_a_secret_goes_to_one_step_by_its_own_name_and_reviewers_are_told_of_it():
    found: dict[tuple[str, str, str], set[str]] = {}
    for workflow, job in JOBS:
        for step in the(workflow, job)["steps"]:
            for name, secret in re.findall(r"(?m)^ *(\S+): \$\{\{ secrets\.(\w+) \}\}$", text_of(step)):
                assert name == secret
                found.setdefault((workflow, job, step["name"]), set()).add(secret)
    assert found == SECRETS
    everywhere = "".join(path.read_text(encoding="utf-8") for path in documents(GITHUB))
    assert len(re.findall(r"\bsecrets\b", everywhere)) == sum(map(len, SECRETS.values()))
    page = PAGE.read_text(encoding="utf-8")
    for (workflow, job, _), names in SECRETS.items():
        (row,) = re.findall(rf"(?m)^\| {re.escape(workflow)} \| {job} \|.*$", page)
        assert names <= set(re.findall(r"\w+", row))


def test_every_variable_that_a_workflow_reads_is_one_that_the_setup_sets():
    from pipelines.commands.github_setup import VARIABLES

    read_by_all = re.findall(r"\bvars\.(\w+)", "".join(text_of(each) for each in WORKFLOWS.values()))
    assert set(read_by_all) == set(VARIABLES)


def test_the_release_reads_what_its_page_lists():
    page = (
        (ROOT / "docs/releases.md").read_text(encoding="utf-8").partition("\n## Variables\n")[2].partition("\n## ")[0]
    )
    listed = {name for row in re.findall(r"(?m)^\| (`.*?) \|", page) for name in re.findall(r"`([A-Z_]+)`", row)}
    step = next(step for step in the("release.yml", "release")["steps"] if step.get("name") == "release")
    assert listed == (WORKFLOWS["release.yml"]["env"] | step["env"]).keys() - {"GITHUB_TOKEN", "DVC_REMOTE_URL"}


@every_job
def test_a_job_ends_by_itself(workflow, job):
    assert 1 <= the(workflow, job)["timeout-minutes"] <= 60


@every_workflow
def test_a_workflow_is_in_its_concurrency_group(workflow):
    concurrency = WORKFLOWS[workflow]["concurrency"]
    assert (concurrency["group"], concurrency.get("cancel-in-progress", False)) == CONCURRENCY[workflow]


@every_workflow
def test_a_workflow_hands_exactly_its_environment_to_its_jobs(workflow):
    assert WORKFLOWS[workflow].get("env", {}) == ENVIRONMENT.get(workflow, {})


def test_what_is_started_by_hand_and_may_write_to_the_repository_runs_on_main_alone():
    by_hand = [(name, job) for name, job in JOBS if "workflow_dispatch" in WORKFLOWS[name]["on"]]
    writing = [each for each in by_hand if PERMISSIONS[each].get("contents") == "write"]
    assert writing == [("release.yml", "release"), ("rollback.yml", "rollback")]
    assert {str(the(*each).get("if")) for each in writing} == {"github.ref == 'refs/heads/main'"}


def test_no_failure_passes_but_that_of_installing_cml():
    jobs = [
        *(the(*each) for each in JOBS),
        *(read(path)["runs"] for path in sorted(GITHUB.glob("actions/*/action.yml"))),
    ]
    lenient = [part for job in jobs for part in (job, *job["steps"]) if "continue-on-error" in part]
    # GitHub stops the step after the minutes, so that a download that hangs leaves time to post the report over REST.
    assert lenient == [{"uses": "./.github/actions/cml", "continue-on-error": True, "timeout-minutes": 2}] * 2
    assert [script for _, script in scripts(GITHUB) if re.search(r"[|;&]|set \+e", script)] == []


def test_cml_is_installed_where_a_review_is_published_in_the_version_that_was_tried_and_without_vega():
    (step,) = read(GITHUB / "actions/cml/action.yml")["runs"]["steps"]
    assert step["with"] == {"version": "0.20.6", "vega": "false"}
    for each in (("review.yml", "publish"), ("report-fork.yml", "report-fork")):
        named = [step.get("uses") or step["run"] for step in the(*each)["steps"]]
        assert named[-2] == "./.github/actions/cml" and named[-1].startswith("make publish")


def test_what_is_built_is_signed_and_its_provenance_is_kept_beside_it():
    sign = next(step for step in the("release.yml", "release")["steps"] if step.get("uses") == "./.github/actions/sign")
    assert sign["if"] == "vars.SIGN_IMAGES == 'true' && steps.image.outputs.built == 'true'"
    given = {
        step["uses"].partition("@")[0]: step["with"]
        for step in read(GITHUB / "actions/sign/action.yml")["runs"]["steps"]
        if "uses" in step
    }
    assert given["actions/attest-build-provenance"] == {
        "subject-name": "${{ inputs.repository }}",
        "subject-digest": "${{ inputs.digest }}",
        "push-to-registry": True,
    }
    assert given["anchore/sbom-action"]["image"] == "${{ inputs.repository }}@${{ inputs.digest }}"


def test_the_cache_of_dvc_is_another_one_for_another_model_or_other_data():
    (step,) = [
        step for step in read(GITHUB / "actions/setup/action.yml")["runs"]["steps"] if "key" in step.get("with", {})
    ]
    assert step["with"]["key"] == "dvc-${{ hashFiles('dvc.lock', 'data.dvc') }}"
    assert step["with"]["path"] == ".dvc/cache"


def test_what_reads_history_or_tags_checks_them_out():
    shallow = {(workflow, job) for workflow, job, given in CHECKOUTS if given.get("fetch-depth") != 0}
    assert shallow == {
        ("audit.yml", "audit"),
        ("audit.yml", "verify"),
        ("report-fork.yml", "report-fork"),
        ("review.yml", "publish"),
    }


@pytest.mark.parametrize("path", documents(GITHUB), ids=lambda path: path.relative_to(GITHUB).as_posix())
def test_every_action_is_pinned_to_a_known_commit_with_its_version(path):
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"(?m)^.*\buses:.*$", text):
        if "./.github/actions/" in line:
            local = re.search(r"\./\.github/actions/([\w-]+)\s*$", line)
            assert local and (GITHUB / "actions" / local[1] / "action.yml").is_file(), line
            continue
        found = re.search(r"uses: ([\w.-]+/[\w.-]+)\S*@([0-9a-f]{40}) # (v[\d.]+)$", line)
        assert found, line
        assert (found[2], found[3]) == PINNED[found[1]], line


def test_every_pinned_action_is_used_and_has_a_stand_in():
    used = {name for path in documents(GITHUB) for name, _ in USES.findall(path.read_text(encoding="utf-8"))}
    assert used == set(PINNED)
    assert {name.split("/")[1] for name in used} == {path.parent.name for path in STANDINS.glob("*/action.yml")}


def test_inputs_of_stand_ins_are_those_in_use():
    """act passes on what an action does not declare; the real one would only warn."""
    for path in documents(GITHUB):
        document = read(path)
        jobs = document.get("jobs") or {"action": document["runs"]}
        for step in (step for job in jobs.values() for step in job["steps"] if "@" in step.get("uses", "")):
            name = step["uses"].split("@")[0].split("/")[1]
            declared = yaml.safe_load((STANDINS / name / "action.yml").read_text())["inputs"]
            assert set(step.get("with", {})) <= set(declared), (path.name, step)


@pytest.mark.parametrize(("place", "script"), list(scripts(GITHUB)))
def test_no_expression_is_in_a_script(place, script):
    assert "${{" not in script, f"{place}: hand it over by env"


@pytest.mark.parametrize(("place", "script"), list(scripts(GITHUB)))
def test_a_script_is_one_command(place, script):
    assert len([line for line in script.strip().splitlines() if not line.startswith("#")]) <= 2, place


@pytest.mark.parametrize(("workflow", "job", "given"), CHECKOUTS)
def test_no_checkout_leaves_the_token_on_disk(workflow, job, given):
    assert given.get("persist-credentials") is False


def test_a_job_that_may_write_runs_no_code_of_the_pull_request():
    for workflow, job, given in CHECKOUTS:
        writes = {name for name, level in PERMISSIONS[workflow, job].items() if level == "write"} - {"id-token"}
        if writes and "pull_request" in WORKFLOWS[workflow]["on"]:
            assert given.get("ref") == "${{ github.event.pull_request.base.sha }}", (workflow, job)
        elif writes:
            assert not {"ref", "repository"} & set(given), (workflow, job)


@every_job
def test_a_job_that_may_run_a_forks_code_has_no_secret_and_cannot_write(workflow, job):
    if runs_foreign_code(workflow, job):
        part = the(workflow, job)
        assert not re.search(r"\bsecrets\b|github\.token", text_of(part))
        # GitHub gives a fork's run no OIDC token, whatever it asks for.
        assert {name for name, level in part["permissions"].items() if level == "write"} <= {"id-token"}


def test_a_model_is_trained_again_in_jobs_that_cannot_write_and_have_no_environment():
    trains = [
        (name, job, step)
        for name, job in JOBS
        for step in the(name, job)["steps"]
        if step.get("run", "").startswith("make verify")
    ]
    assert [(name, job) for name, job, _ in trains] == [
        ("audit.yml", "verify"),
        ("release.yml", "verify"),
        ("review.yml", "review"),
    ]
    for name, job, step in trains:
        part = the(name, job)
        assert {key for key, level in part["permissions"].items() if level == "write"} <= {"id-token"}
        assert "environment" not in part and not re.search(r"\bsecrets\b|github\.token", text_of(part))
        assert "continue-on-error" not in step
    assert trains[2][2]["if"] == "github.event_name == 'merge_group'"
    # A job that trained nothing vouches for nothing.
    release = the("release.yml", "release")
    assert release["needs"] == "verify"
    assert release["env"] == {"VERIFIED_COMMIT": "${{ needs.verify.outputs.commit }}"}
    commit = the("release.yml", "verify")["outputs"]["commit"]
    assert commit == "${{ steps.verify.outcome == 'success' && github.sha || '' }}"


def test_there_are_jobs_of_both_kinds():
    assert {job for workflow, job in JOBS if runs_foreign_code(workflow, job)} == {"review", "test", "test-release"}


@every_workflow
def test_a_workflow_of_a_forks_run_takes_nothing_of_it_but_by_the_api(workflow):
    if "workflow_run" in WORKFLOWS[workflow]["on"]:
        used = text_of(WORKFLOWS[workflow]["jobs"])
        # A name's beginning, compared in a condition, is the one thing that is looked at: no more than a hint.
        used = used.replace("startsWith(github.event.workflow_run.head_branch, 'dependabot/')", "")
        assert "download-artifact" not in used
        assert not re.search(r"workflow_run\.(head_branch|head_commit|display_title|pull_requests)", used)


@every_workflow
def test_whether_a_pull_request_is_a_forks_is_told_by_its_repository(workflow):
    """A team's repository may be a fork itself: `head.repo.fork` would then be true for its own branches."""
    assert "head.repo.fork" not in text_of(WORKFLOWS[workflow])


@every_job
def test_what_publishes_gets_the_token_by_name(workflow, job):
    for step in the(workflow, job)["steps"]:
        if re.match(r"make publish", step.get("run", "")):
            assert step["env"]["GITHUB_TOKEN"] == "${{ github.token }}"


@every_job
def test_expressions_name_what_exists(workflow, job):
    """Neither act nor GitHub says a word where a condition reads an output that nothing sets."""
    part = the(workflow, job)
    needs = [part["needs"]] if isinstance(part.get("needs"), str) else part.get("needs", [])
    assert set(needs) <= set(WORKFLOWS[workflow]["jobs"])
    text = text_of(part)
    for needed, what in re.findall(r"\bneeds\.([\w-]+)\.([\w.-]+)", text):
        assert needed in needs
        outputs = the(workflow, needed).get("outputs", {})
        assert what == "result" or what.removeprefix("outputs.") in outputs
    steps = {step["id"]: step for step in part["steps"] if "id" in step}
    for name, output in re.findall(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)", text):
        assert output in outputs_of(steps[name])
    for name in re.findall(r"\benv\.([\w-]+)", text):
        assert name in {**WORKFLOWS[workflow].get("env", {}), **part.get("env", {})}


def outputs_of(step: dict[str, Any]) -> set[str]:
    """What a step can set."""
    if step.get("run") in TELLS:
        source = TELLS[step["run"]].read_text(encoding="utf-8").split("GITHUB_OUTPUT")[1]
        return set(re.findall(r"(?:\"|\\n)(\w+)=\{", source))
    if "run" in step:
        return set(re.findall(r"([\w-]+)=[^\n]*GITHUB_OUTPUT", step["run"]))
    name = step["uses"].split("@")[0]
    path = ROOT / name if name.startswith("./") else STANDINS / name.split("/")[1]
    return set(yaml.safe_load((path / "action.yml").read_text()).get("outputs", {}))


@pytest.mark.parametrize("path", sorted(GITHUB.glob("actions/*/action.yml")), ids=lambda path: path.parent.name)
def test_a_local_action_is_given_only_what_it_takes(path):
    takes = read(path).get("inputs", {})
    given = [
        set(step.get("with", {}))
        for name, job in JOBS
        for step in the(name, job)["steps"]
        if step.get("uses", "") == f"./.github/actions/{path.parent.name}"
    ]
    assert given, "nothing uses it"
    needed = {name for name, how in takes.items() if how.get("required")}
    assert all(needed <= each <= set(takes) for each in given)


def test_make_targets_that_workflows_run_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^\.PHONY: (\S+)$", makefile))
    used = {name for _, script in scripts(GITHUB) for name in re.findall(r"\bmake ([a-z-]+)", script)}
    assert used <= targets
    assert {"review", "publish", "test-all", "test-release", "setup"} <= used


def test_the_checks_that_are_posted_are_those_that_the_jobs_are_called():
    from pipelines.github import checks

    assert {checks.REVIEW, checks.TESTS} <= {job for _, job in JOBS}
    assert "workflow_dispatch" in WORKFLOWS[checks.TESTS_WORKFLOW]["on"]


def test_the_fake_serves_no_path_that_githubs_description_lacks():
    from tests.engine.workflows.github_fake import _OWN
    from tests.engine.workflows.openapi import PATHS

    shapes = {
        re.sub(r"\{[^}]+\}", "1", path).removeprefix("/repos/1/1").replace("artifacts/1/1", "artifacts/1/zip")
        for path in PATHS
    }
    for pattern, own in _OWN:
        assert own.__qualname__.startswith(GitHubFake.__name__)
        assert any(re.fullmatch(pattern, shape) for shape in shapes), pattern
