"""monitor.yml and retrain.yml by act: nothing in production, an issue that is opened once and closed, a retraining.

Needs the small problem, act, emulate, Prism and moto.
"""

import json
import time
from contextlib import chdir
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.config.params import load
from pipelines.repository import push_tags, tags
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from tests.engine.fixtures_repo import Repo
from tests.engine.monitor.production import produce
from tests.engine.workflows.acting import Run
from tests.engine.workflows.github_accounts import REPOSITORY
from tests.engine.workflows.github_fake import permissions
from tests.engine.workflows.world import World

pytestmark = pytest.mark.watch
MONDAY = datetime.combine(date.today() - timedelta(days=date.today().weekday()), datetime.min.time(), UTC)
RELEASED = MONDAY - timedelta(weeks=4)


def scheduled(world: World, workflow: str, run: int, **inputs: str) -> Run:
    """A workflow that a schedule starts, or with inputs a person."""
    event = {"schedule": "17 6 * * *", "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
    kind = "workflow_dispatch" if inputs else "schedule"
    return world.runner.act(workflow, kind, event | {"inputs": inputs}, run=run, ref="refs/heads/main")


def put_into_production(world: World, monkeypatch: pytest.MonkeyPatch, log: str) -> str:
    """Tag main's commit as released four weeks ago, name the log, and return the release id."""
    repo = world.work
    repo.git("fetch", "--quiet", "origin")
    repo.git("checkout", "--quiet", "-B", "main", "origin/main")
    with chdir(repo.path), monkeypatch.context() as patch:
        patch.setattr(time, "time", RELEASED.timestamp)
        commit = repo.git("rev-parse", "HEAD")
        image = f"127.0.0.1:5000/fraud@sha256:{'a' * 64}"
        annotation = Annotation(release=release_id(commit), image=image, model="m", signature="s")
        version = push_tags.register_version("fraud", (1, 0, 0), commit, annotation)
        assigned = annotation.model_copy(update={"version": version.tag, "main_commit": commit})
        push_tags.assign_version("fraud", 1, version, assigned)
        assert tags.find_newest_assignment("fraud")
    world.runner.variables["PREDICTION_LOG"] = log
    return annotation.release


def issues(world: World, state: str = "open") -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = world.github.ask("GET", f"/issues?state={state}&labels=monitor")
    return [issue for issue in listed if "pull_request" not in issue]


@pytest.mark.parametrize("workflow", ["monitor.yml", "retrain.yml"])
def test_a_fresh_copy_ends_with_success_and_writes_nothing(world: World, workflow: str) -> None:
    job = workflow.removesuffix(".yml")
    run = scheduled(world, workflow, 90)
    assert run.conclusions == {job: "success"}, run.log
    assert "not in production yet" in run.log
    assert world.pushes == [] and issues(world) == []
    world.runner.variables["MAINLINE_SETUP"] = ""
    run = scheduled(world, workflow, 91)
    assert run.conclusions == {"not-set-up": "success"} and "make github-setup" in run.log


def test_an_alarm_on_a_log_in_s3_has_one_issue_a_problem_until_it_is_accepted(
    world: World, s3: str, small_problem: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    def read_labels(repo: Repo) -> None:
        labels = {"path": "s3://production/labels/*.parquet"}
        repo.params(lambda document: document.update(monitor={"labels": labels, "evidently": []}))

    world.merge(world.open(read_labels))
    release = put_into_production(world, monkeypatch, "s3://production/log")
    spec = load(small_problem / "origin/params.yaml").ingest
    shift = (RELEASED.date() - spec.start).days - spec.days  # whole weeks
    traffic = produce(spec, small_problem / "origin/models", release, first=spec.days, days=35, shift=shift)
    traffic.lose("new_device", 10).write_log(tmp_path / "bucket/log")
    traffic.write_labels(tmp_path / "bucket/labels/all.parquet")
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="production")
    for path in (tmp_path / "bucket").rglob("*.*"):
        client.upload_file(str(path), "production", str(path.relative_to(tmp_path / "bucket")))
    world.runner.environment |= {"AWS_ENDPOINT_URL": s3, "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    run = scheduled(world, "monitor.yml", 89)
    assert run.conclusions == {"monitor": "failure"} and "Unable to locate credentials" in run.log, run.log

    world.runner.variables["AWS_MONITOR_ROLE_ARN"] = "arn:aws:iam::123456789012:role/fraud-monitor"
    before = len(world.github.requests)
    for number in (90, 91):
        run = scheduled(world, "monitor.yml", number)
        assert run.conclusions == {"monitor": "failure"}, run.log
        assert "ALARM input: new_device is missing" in run.log
        opened = sorted(issue["title"] for issue in issues(world))
    # The mean of each customer's last payments moves in this small world by itself.
    problems = ("The inputs of the deployed model are broken", "The inputs of the deployed model have shifted")
    assert opened == [f"{problem}: fraud" for problem in problems]
    assert permissions(world.github.requests[before:]).keys() <= {"issues", "metadata"}
    (newest,) = json.loads((run.artifacts["monitor"] / "verdict.json").read_text())["passes"]
    assert newest["quality"]["labelled"] == newest["quality"]["predictions"] > 500
    run = scheduled(world, "monitor.yml", 92, acknowledge="the new form does not ask for it")
    assert run.conclusions == {"monitor": "success"}, run.log
    assert issues(world) == [] and sorted(issue["title"] for issue in issues(world, "closed")) == opened
    assert world.pushes == []
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="production", Prefix="log/")["Contents"]]
    assert sum(key.startswith("log/monitor/passes/") for key in keys) == 4
    assert not [key for key in keys if key.endswith(".jsonl.gz") and key < f"log/date={MONDAY:%Y-%m-%d}"]


def test_newer_rows_become_one_reviewed_pull_request(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def shorten(repo: Repo) -> None:
        """Let main end a week earlier than the rows that there are."""
        repo.params(lambda document: document["ingest"].update(until="2026-02-22"))
        world.reproduce(repo)

    world.merge(world.open(shorten))
    put_into_production(world, monkeypatch, str(tmp_path / "log"))
    run = scheduled(world, "retrain.yml", 90)
    (pull,) = [pull for pull in world.github.ask("GET", "/pulls?state=open") if pull["head"]["ref"] == "retrain"]
    head = world.tip("refs/heads/retrain")
    (check,) = world.github.ask("GET", f"/commits/{head}/check-runs")["check_runs"]
    assert check["name"] == "review" and ("review", check["conclusion"]) in (
        ("review", "success"),
        ("review", "failure"),
    )
    passed = check["conclusion"] == "success"
    assert run.conclusions == {"retrain": "success" if passed else "failure"}, run.log
    assert ("The review passed" if passed else "The review failed") in pull["body"]
    (comment,) = world.github.ask("GET", f"/issues/{pull['number']}/comments")
    assert comment["body"].startswith(run.jobs["retrain"].summary[:20])
    changed = set(world.changed(world.tip("refs/heads/main"), head))
    assert (
        {"params.yaml", "data.dvc", "dvc.lock"}
        <= changed
        <= {"params.yaml", "data.dvc", "dvc.lock"} | {path for path in changed if path.startswith("reports/")}
    )
    assert {push.ref for push in world.pushes} == {"refs/heads/retrain"}
    assert [name for name, _ in world.github.dispatches] == ["test.yml"]
    # The same again.
    assert scheduled(world, "retrain.yml", 91).conclusions == run.conclusions
    assert world.tip("refs/heads/retrain") == head and len(world.pushes) == 1
