"""The workflow files, where act does not check them: triggers, pins, conditions; and the linters.

The linters need the tools of `make workflow-tools`.
"""

import re
from typing import Any

import pytest
import yaml

from tests.engine.workflows.acting import STANDINS, USES
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.lint import LINTERS, documents, scripts
from tests.engine.workflows.workflow_files import (
    CHECKOUTS,
    GITHUB,
    JOBS,
    WORKFLOWS,
    every_job,
    every_workflow,
    job_of,
    read,
    text_of,
)

PINNED = {
    "actions/create-github-app-token": ("1b10c78c7865c340bc4f6099eb2f838309f1e8c3", "v3.1.1"),
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
    "monitor.yml": {
        "schedule": [{"cron": "17 6 * * *"}],
        "workflow_dispatch": {
            "inputs": {
                "acknowledge": {
                    "description": "Why what the newest pass found is the new normal; empty to judge only",
                    "type": "string",
                    "default": "",
                }
            }
        },
    },
    "retrain.yml": {
        "schedule": [{"cron": "37 4 1 * *"}],
        "workflow_dispatch": {
            "inputs": {
                "why": {
                    "description": "The reason, for the text of the pull request",
                    "type": "string",
                    "default": "",
                }
            }
        },
    },
    "review.yml": {"pull_request": {"branches": ["main"]}, "merge_group": None, "push": {"branches": ["main"]}},
    "release.yml": {"push": {"branches": ["main"]}, "workflow_dispatch": None},
    "release-check.yml": {"schedule": [{"cron": "41 */6 * * *"}], "workflow_dispatch": None},
    "report-fork.yml": {"workflow_run": {"workflows": ["review"], "types": ["completed"]}},
    "rollback.yml": {
        "workflow_dispatch": {
            "inputs": {
                "to": {
                    "description": "A version such as fraud@v1.2.0; empty for the previous version",
                    "type": "string",
                    "default": "",
                },
                "why": {
                    "description": "The reason, for the text of the pull request",
                    "type": "string",
                    "default": "",
                },
            }
        }
    },
    "rollout.yml": {
        "schedule": [{"cron": "23 * * * *"}],
        "workflow_dispatch": {
            "inputs": {
                "abort": {
                    "description": "Why the canary must end; empty to do what the hosts' reports call for",
                    "type": "string",
                    "default": "",
                }
            }
        },
    },
    "test.yml": {
        "pull_request": {"branches": ["main"]},
        "merge_group": None,
        "push": {"branches": ["main"]},
        "workflow_dispatch": None,
    },
}


# True for a pull request whose run may get credentials: it is not of a fork, and not opened by Dependabot.
TRUSTED = (
    "github.event.pull_request.head.repo.full_name == github.repository"
    " && github.event.pull_request.user.login != 'dependabot[bot]'"
)


ENVIRONMENT = {
    "review.yml": {
        "DVC_REMOTE_URL": f"${{{{ (github.event_name != 'pull_request' || {TRUSTED}) && vars.DVC_REMOTE_URL || '' }}}}"
    },
    "release.yml": {"DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}"},
    "rollback.yml": {"DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}"},
    "rollout.yml": {"DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}"},
} | {
    name: {"DVC_REMOTE_URL": "${{ vars.DVC_REMOTE_URL }}", "PREDICTION_LOG": "${{ vars.PREDICTION_LOG || 'off' }}"}
    for name in ("monitor.yml", "retrain.yml")
}


# Group, and whether a newer run cancels an older one. Releases and runs of main are not cancelled.
CONCURRENCY = {
    "audit.yml": ("audit", False),
    "monitor.yml": ("monitor", False),
    "retrain.yml": ("retrain", False),
    "release.yml": ("release-${{ github.ref }}", False),
    "release-check.yml": ("release-check", False),
    "report-fork.yml": ("report-fork-${{ github.event.workflow_run.id }}", False),
    "review.yml": (
        # A run for the bot's commit, which may wait for an approval, does not cancel the run that made the commit.
        "review-${{ github.event.pull_request.number || github.ref }}-${{ github.event.sender.type }}",
        "${{ github.event_name == 'pull_request' }}",
    ),
    "rollback.yml": ("rollback", False),
    # Not the group of release.yml: a waiting run of this one would replace a waiting release.
    "rollout.yml": ("rollout", False),
    # A group of its own for each commit of main: a newer run in the same group would cancel one that waits.
    "test.yml": (
        "test-${{ github.event_name }}-${{ github.event_name == 'push' && github.sha || github.ref }}",
        "${{ github.event_name != 'push' }}",
    ),
}


# Command -> the Python file that sets the outputs of its step.
OUTPUT_SOURCES = {"make release-image": ROOT / "pipelines/release/ensure_image.py"}


@pytest.mark.parametrize(
    ("linter", "text"),
    [
        ("schemas", "on: push\njobs: {a: {runs-on: x, stepz: []}}"),
        ("actionlint", "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ needs.b.result }}'}]}}"),
        ("zizmor", "on: push\njobs: {a: {runs-on: x, steps: [{uses: 'a/b@v1'}]}}"),
        ("shellcheck", "on: push\njobs: {a: {runs-on: x, steps: [{run: 'cd $x; rm *'}]}}"),
    ],
)
def test_each_linter_reports_an_error(linter, text, tmp_path):
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/wrong.yml").write_text(text)
    assert next(each for each in LINTERS if each.__name__ == linter)(tmp_path) != []


def test_every_ignored_finding_has_a_reason():
    texts = "\n".join(path.read_text(encoding="utf-8") for path in documents(GITHUB))
    assert [
        line for line in re.findall(r".*zizmor: ignore.*", texts) if not re.search(r"ignore\[[\w-]+\] \w+", line)
    ] == []


def test_workflows_and_jobs_are_the_listed_ones():
    assert set(WORKFLOWS) == set(TRIGGERS)
    assert set(WORKFLOWS) == set(CONCURRENCY)


@every_workflow
def test_a_workflow_is_started_by_the_listed_events(workflow):
    assert WORKFLOWS[workflow]["on"] == TRIGGERS[workflow]


def test_a_workflow_run_trigger_names_an_existing_workflow():
    named = [
        name for each in WORKFLOWS.values() for name in (each["on"].get("workflow_run") or {}).get("workflows", [])
    ]
    assert set(named) <= {each["name"] for each in WORKFLOWS.values()}


@pytest.mark.parametrize(
    ("workflow", "job", "permissions"),
    [
        ("review.yml", "publish", {"permission-contents": "write"}),
        ("rollback.yml", "rollback", {"permission-contents": "write", "permission-pull-requests": "write"}),
    ],
)
def test_a_token_of_an_app_is_optional_and_pushes_only(workflow, job, permissions):
    steps = job_of(workflow, job)["steps"]
    (step,) = [step for step in steps if "create-github-app-token" in step.get("uses", "")]
    assert (step["id"], step["if"]) == ("bot", "vars.BOT_CLIENT_ID != ''")
    names = {"client-id": "${{ vars.BOT_CLIENT_ID }}", "private-key": "${{ secrets.BOT_PRIVATE_KEY }}"}
    assert step["with"] == names | permissions
    users = [step.get("name") for step in steps if "steps.bot." in text_of(step)]
    assert users == [job]
    last = next(step for step in steps if step.get("name") == job)
    assert last["env"]["BOT_TOKEN"] == "${{ steps.bot.outputs.token }}"


def test_github_setup_sets_every_variable_of_the_workflows():
    from pipelines.publish.github_setup import DONE, VARIABLES

    read_by_all = re.findall(r"\bvars\.(\w+)", "".join(text_of(each) for each in WORKFLOWS.values()))
    assert set(read_by_all) == {*VARIABLES, DONE}


def test_the_documents_list_the_variables_of_the_release():
    page = (
        (ROOT / "docs/releases.md").read_text(encoding="utf-8").partition("\n## Variables\n")[2].partition("\n## ")[0]
    )
    listed = {name for row in re.findall(r"(?m)^\| (`.*?) \|", page) for name in re.findall(r"`([A-Z_]+)`", row)}
    job = job_of("release.yml", "release")
    step = next(step for step in job["steps"] if step.get("name") == "release")
    assert listed == (job["env"] | step["env"]).keys() - {"GITHUB_TOKEN", "VERIFIED_COMMIT"}


@every_job
def test_a_job_has_a_timeout(workflow, job):
    assert 1 <= job_of(workflow, job)["timeout-minutes"] <= 60


@every_workflow
def test_a_workflow_has_the_listed_concurrency_group(workflow):
    concurrency = WORKFLOWS[workflow]["concurrency"]
    assert (concurrency["group"], concurrency.get("cancel-in-progress", False)) == CONCURRENCY[workflow]


@every_workflow
def test_a_workflow_has_the_listed_environment(workflow):
    assert WORKFLOWS[workflow].get("env", {}) == ENVIRONMENT.get(workflow, {})


@every_job
def test_steps_after_a_failure_do_not_run_after_a_cancellation(workflow, job):
    part = job_of(workflow, job)
    conditions = [str(each.get("if", "")) for each in (part, *part["steps"])]
    assert [condition for condition in conditions if "always()" in condition] == []


def test_only_the_installation_of_cml_may_fail():
    jobs = [
        *(job_of(*each) for each in JOBS),
        *(read(path)["runs"] for path in sorted(GITHUB.glob("actions/*/action.yml"))),
    ]
    lenient = [part for job in jobs for part in (job, *job["steps"]) if "continue-on-error" in part]
    # The timeout leaves time to post the report over REST if the download hangs.
    assert lenient == [{"uses": "./.github/actions/cml", "continue-on-error": True, "timeout-minutes": 2}] * 2
    assert [script for _, script in scripts(GITHUB) if re.search(r"[|;&]|set \+e", script)] == []


def test_jobs_that_publish_install_the_tested_version_of_cml():
    (step,) = read(GITHUB / "actions/cml/action.yml")["runs"]["steps"]
    assert step["with"] == {"version": "0.20.6", "vega": "false"}
    for each in (("review.yml", "publish"), ("report-fork.yml", "report-fork")):
        named = [step.get("uses") or step["run"] for step in job_of(*each)["steps"]]
        assert "./.github/actions/cml" in named and named[-1].startswith("make publish")


def test_only_a_commit_that_holds_what_its_tree_gives_gets_a_green_review():
    steps = job_of("review.yml", "review")["steps"]
    (step,) = [step for step in steps if step.get("run") == "make check-lock"]
    # In every event, and after the upload, because `publish` commits what is in the artifact.
    assert "if" not in step and "continue-on-error" not in step
    assert "upload-artifact" in steps[steps.index(step) - 1]["uses"]
    assert step["env"] == {"BOT": f"${{{{ github.event_name == 'pull_request' && {TRUSTED} && '1' || '' }}}}"}


def test_a_built_image_is_signed_and_gets_provenance_and_sbom():
    sign = next(
        step for step in job_of("release.yml", "release")["steps"] if step.get("uses") == "./.github/actions/sign"
    )
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


def setup_step(name: str) -> dict[str, Any]:
    """Return the step of the local action `setup` that uses a third-party action."""
    steps = read(GITHUB / "actions/setup/action.yml")["runs"]["steps"]
    return next(step for step in steps if step.get("uses", "").startswith(f"{name}@"))


def test_the_dvc_cache_is_keyed_by_model_and_data_and_holds_no_run_cache():
    """From a run-cache, a commit that was pushed away would decide the outputs of a later one."""
    step = setup_step("actions/cache")
    assert step["with"]["key"] == "dvc-${{ hashFiles('dvc.lock', 'data.dvc') }}"
    assert step["with"]["path"] == ".dvc/cache/files"
    # What the bot's commit needs is saved although the job fails, under the key that its own review looks up.
    steps = job_of("review.yml", "review")["steps"]
    (save,) = [step for step in steps if step.get("uses", "").startswith("actions/cache/save@")]
    assert save["with"] == {name: step["with"][name] for name in ("path", "key")}
    assert save["if"] == "failure() && steps.review.outcome == 'success'"
    assert steps[steps.index(save) - 1]["run"] == "make check-lock"


def test_uv_is_the_pinned_version_and_its_cache_can_be_left_out():
    step = setup_step("astral-sh/setup-uv")
    assert step["with"]["version-file"] == "requirements/uv.txt"
    assert (ROOT / "requirements/uv.txt").read_text().startswith("uv==")
    assert step["with"]["enable-cache"] == "${{ inputs.package-cache }}"


def test_jobs_that_read_history_or_tags_fetch_them():
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
    texts = [path.read_text(encoding="utf-8") for path in documents(GITHUB)]
    used = {"/".join(name.split("/")[:2]) for text in texts for name, _ in USES.findall(text)}
    assert used == set(PINNED)
    assert {name.split("/")[1] for name in used} == {path.parent.name for path in STANDINS.glob("*/action.yml")}


def test_stand_ins_declare_the_inputs_in_use():
    """act passes inputs that an action does not declare; GitHub only warns about them."""
    for path in documents(GITHUB):
        document = read(path)
        jobs = document.get("jobs") or {"action": document["runs"]}
        for step in (step for job in jobs.values() for step in job["steps"] if "@" in step.get("uses", "")):
            name = step["uses"].split("@")[0].split("/")[1]
            declared = yaml.safe_load((STANDINS / name / "action.yml").read_text())["inputs"]
            assert set(step.get("with", {})) <= set(declared), (path.name, step)


@pytest.mark.parametrize(("place", "script"), list(scripts(GITHUB)))
def test_no_expression_is_in_a_script(place, script):
    assert "${{" not in script, f"{place}: pass it by env"


@pytest.mark.parametrize(("place", "script"), list(scripts(GITHUB)))
def test_a_script_is_one_command(place, script):
    assert len([line for line in script.strip().splitlines() if not line.startswith("#")]) <= 2, place


@every_job
def test_expressions_refer_to_existing_jobs_steps_and_outputs(workflow, job):
    """Neither act nor GitHub reports a condition that reads a missing output."""
    part = job_of(workflow, job)
    needs = [part["needs"]] if isinstance(part.get("needs"), str) else part.get("needs", [])
    assert set(needs) <= set(WORKFLOWS[workflow]["jobs"])
    text = text_of(part)
    for needed, what in re.findall(r"\bneeds\.([\w-]+)\.([\w.-]+)", text):
        assert needed in needs
        outputs = job_of(workflow, needed).get("outputs", {})
        assert what == "result" or what.removeprefix("outputs.") in outputs
    steps = {step["id"]: step for step in part["steps"] if "id" in step}
    for name, output in re.findall(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)", text):
        assert output in outputs_of(steps[name])
    for name in re.findall(r"\benv\.([\w-]+)", text):
        assert name in {**WORKFLOWS[workflow].get("env", {}), **part.get("env", {})}


def outputs_of(step: dict[str, Any]) -> set[str]:
    """Return the outputs that a step can set."""
    if step.get("run") in OUTPUT_SOURCES:
        source = OUTPUT_SOURCES[step["run"]].read_text(encoding="utf-8").split("GITHUB_OUTPUT")[1]
        return set(re.findall(r"(?:\"|\\n)(\w+)=\{", source))
    if "run" in step:
        return set(re.findall(r"([\w-]+)=[^\n]*GITHUB_OUTPUT", step["run"]))
    name = step["uses"].split("@")[0]
    path = ROOT / name if name.startswith("./") else STANDINS / name.split("/")[1]
    return set(yaml.safe_load((path / "action.yml").read_text()).get("outputs", {}))


@pytest.mark.parametrize("path", sorted(GITHUB.glob("actions/*/action.yml")), ids=lambda path: path.parent.name)
def test_a_local_action_gets_only_its_declared_inputs(path):
    declared = read(path).get("inputs", {})
    given = [
        set(step.get("with", {}))
        for name, job in JOBS
        for step in job_of(name, job)["steps"]
        if step.get("uses", "") == f"./.github/actions/{path.parent.name}"
    ]
    assert given, "nothing uses it"
    needed = {name for name, how in declared.items() if how.get("required")}
    assert all(needed <= each <= set(declared) for each in given)


def test_make_targets_of_the_workflows_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^\.PHONY: (\S+)$", makefile))
    used = {name for _, script in scripts(GITHUB) for name in re.findall(r"\bmake ([a-z-]+)", script)}
    assert used <= targets
    assert {"review", "publish", "test-all", "test-watch", "test-release", "setup"} <= used


def test_created_checks_have_the_names_of_jobs():
    from pipelines.github import checks

    assert {checks.REVIEW, checks.TESTS} <= {job for _, job in JOBS}
    assert "workflow_dispatch" in WORKFLOWS[checks.TESTS_WORKFLOW]["on"]


def test_the_fake_serves_only_paths_of_githubs_description():
    from tests.engine.workflows.github_backend import ENDPOINTS, Backend
    from tests.engine.workflows.openapi import PATHS

    shapes = {
        re.sub(r"\{[^}]+\}", "1", path).removeprefix("/repos/1/1").replace("artifacts/1/1", "artifacts/1/zip")
        for path in PATHS
    }
    for pattern, own in ENDPOINTS:
        assert own.__qualname__.startswith(Backend.__name__)
        assert any(re.fullmatch(pattern, shape) for shape in shapes), pattern
