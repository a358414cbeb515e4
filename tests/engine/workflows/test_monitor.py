"""monitor.yml and retrain.yml by act: nothing in production, an issue that is opened once and closed, a retraining.

Needs the small problem, act, emulate and Prism.
"""

from __future__ import annotations

from contextlib import chdir
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.repository import push_tags, tags
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from tests.engine.fixtures_repo import Repo
from tests.engine.workflows.acting import Run
from tests.engine.workflows.github_accounts import REPOSITORY
from tests.engine.workflows.github_fake import permissions
from tests.engine.workflows.world import World

pytestmark = pytest.mark.watch
DAYS = 20  # since the release


def scheduled(world: World, workflow: str, run: int) -> Run:
    """A workflow that a schedule starts."""
    event = {"schedule": "17 6 * * *", "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
    return world.runner.act(workflow, "schedule", event, run=run, ref="refs/heads/main")


def put_into_production(world: World, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    """Tag main's commit as released some days ago, and log at least one date."""
    repo = world.work
    repo.git("fetch", "--quiet", "origin")
    repo.git("checkout", "--quiet", "-B", "main", "origin/main")
    import time

    past = time.time() - DAYS * 86_400
    with chdir(repo.path), monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: past)
        commit = repo.git("rev-parse", "HEAD")
        image = f"127.0.0.1:5000/fraud@sha256:{'a' * 64}"
        annotation = Annotation(release=release_id(commit), image=image, model="m", signature="s")
        version = push_tags.register_version("fraud", (1, 0, 0), commit, annotation)
        assigned = annotation.model_copy(update={"version": version.tag, "main_commit": commit})
        push_tags.assign_version("fraud", 1, version, assigned)
        assert tags.find_newest_assignment("fraud")
    (log / f"date={date.today() - timedelta(days=DAYS)}").mkdir(parents=True)
    world.runner.variables["PREDICTION_LOG"] = str(log)


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


def test_an_alarm_has_one_issue_that_is_closed_when_it_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_into_production(world, monkeypatch, tmp_path / "log")
    before = len(world.github.requests)
    for number in (90, 91):
        run = scheduled(world, "monitor.yml", number)
        assert run.conclusions == {"monitor": "failure"}, run.log
        assert "ALARM service: the prediction log holds no usable prediction of fraud@v1.0.0" in run.log
        assert "monitor" in run.artifacts
        (issue,) = issues(world)
    assert "The monitor or the service" in issue["title"]
    assert permissions(world.github.requests[before:]).keys() <= {"issues", "metadata"}
    for path in (tmp_path / "log/monitor/passes").iterdir():
        path.write_text(path.read_text().replace('"rows": 0', '"rows": 7'))
    assert scheduled(world, "monitor.yml", 92).conclusions == {"monitor": "success"}
    assert issues(world) == [] and [issue["number"] for issue in issues(world, "closed")] == [issue["number"]]
    assert world.pushes == []


def test_newer_rows_become_one_reviewed_pull_request(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def shorten(repo: Repo) -> None:
        """Let main end a week earlier than the rows that there are."""
        repo.params(lambda document: document["ingest"].update(until="2026-02-22"))
        world.reproduce(repo)

    world.merge(world.open(shorten))
    put_into_production(world, monkeypatch, tmp_path / "log")
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
