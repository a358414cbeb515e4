"""Which steps a release takes, in a real repository with an origin; Docker engine and image registry are fakes.

tests/engine/release/test_release.py runs the same with a Docker engine and a registry.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import Refused
from pipelines.release import approvals, deploy, ensure_image, fetch_model, signatures, smoke_test
from pipelines.repository import tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from tests.engine.release.release_world import World, digest, kill_before_push, refuse
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world

pytestmark = pytest.mark.repository


ENSURE_IMAGE = ensure_image.ensure_image


@pytest.mark.parametrize("kind", ["fraud@v", "fraud#production#"])
def test_release_killed_before_a_push_is_completed_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    world.commit_model("m1")
    with monkeypatch.context() as killed:
        kill_before_push(killed, kind)
        world.release(code=130)
    assert not [tag for tag in git("tag").split() if kind in tag]
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)


def test_tag_that_was_never_pushed_is_deleted(live: World) -> None:
    annotation = tags.list_assignments("fraud")[0].annotation.model_copy(update={"release": "b" * 12})
    git("tag", "--annotate", "--cleanup=verbatim", "-m", annotation.to_yaml(), "fraud#production#2")
    live.release("reconcile")
    assert git("tag").split() == ["fraud#production#1", "fraud@v1.0.0"]
    live.check("m1", "fraud@v1.0.0", 1)


def test_tag_of_origin_replaces_a_local_tag_of_the_same_name(world: World) -> None:
    world.commit_model("m1")
    git("tag", "--annotate", "-m", "ours alone", "fraud@v1.0.0")
    other = world.other()
    world.release(where=other.clone)
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)


def test_tags_of_other_models_and_people_are_kept(world: World) -> None:
    world.commit_model("m1")
    for mine in ("before-the-rewrite", "churn@v1.0.0"):
        git("tag", mine)
    world.release()
    assert {"before-the-rewrite", "churn@v1.0.0"} < set(git("tag").split())


@pytest.mark.parametrize("action", ["run", "image"])
def test_commit_that_is_not_on_main_is_refused(live: World, action: str) -> None:
    git("checkout", "--quiet", "-b", "feature")
    live.commit_model("m2", push=False)
    assert "is not on origin's main" in live.release(action, code=2)
    live.check("m1", "fraud@v1.0.0", 1)


def test_approval_of_the_commit_that_introduced_the_release_id_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read_approval(commit: str) -> approvals.Approval:
        asked.append(commit)
        return approvals.Approval(7, ("bob",), False)

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    brought = world.commit_model("m1", model_name="fraud")
    world.commit_model("m1", retention={"keep_last": 7})
    docs = world.commit("document it")
    world.release()
    assert asked == [brought]
    assert tags.list_assignments("fraud")[0].main_commit == docs


def test_approval_is_read_for_the_merge_commit_not_for_its_branch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read_approval(commit: str) -> approvals.Approval:
        asked.append(commit)
        return approvals.Approval()

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    world.commit_model("m1")
    git("checkout", "--quiet", "-b", "feature")
    world.commit_model("m2", push=False)
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "Merge it", "feature")
    merge = world.commit("and a document")
    world.release()
    assert asked == [git("rev-parse", f"{merge}^")]


def test_nothing_is_deployed_if_github_does_not_respond(live: World, monkeypatch: pytest.MonkeyPatch) -> None:

    def read_approval(commit: str) -> approvals.Approval:
        raise Refused("GitHub answers 403", "Fix the token.")

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    live.commit_model("m2")
    live.release(code=1)
    assert len(live.deployed) == 1
    live.check("m1", "fraud@v1.0.0", 1)


def test_service_is_restored_after_a_failed_deployment(live: World) -> None:
    live.commit_model("m2")
    live.broken = release_id("HEAD")
    assert "fails late" in live.release(code=1)
    live.check("m1", "fraud@v1.0.0", 1)


def test_service_is_restored_if_the_assignment_cannot_be_pushed(live: World, tmp_path: Path) -> None:
    live.commit_model("m2")
    hook = tmp_path / "origin.git/hooks/update"
    hook.write_text('#!/bin/sh\ncase "$1" in *"#"*) echo "protected tag" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    assert "protected tag" in live.release(code=3)
    live.check("m1", "fraud@v1.0.0", 1)
    hook.unlink()
    live.release()
    live.check("m2", "fraud@v1.1.0", 2)


@pytest.mark.parametrize("by_hand", [("--annotate", "-m", "by a person"), ()])
def test_version_number_tagged_by_hand_is_skipped(live: World, by_hand: tuple[str, ...]) -> None:
    git("tag", *by_hand, "fraud@v1.1.0")
    git("push", "--quiet", "origin", "fraud@v1.1.0")
    live.commit_model("m2")
    live.release()
    live.check("m2", "fraud@v1.2.0", 2)


def test_assignment_counter_tagged_by_hand_is_skipped(live: World) -> None:
    git("tag", "fraud#production#2")
    git("push", "--quiet", "origin", "fraud#production#2")
    live.commit_model("m2")
    live.release()
    live.check("m2", "fraud@v1.1.0", 3)


def test_nan_metric_does_not_block_a_release(world: World) -> None:
    (world.clone / "reports").mkdir()
    metrics = '{"test": {"average_precision": NaN, "roc_auc": 0.9}}'
    (world.clone / "reports/metrics.json").write_text(metrics)
    world.commit_model("m1")
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)
    assert "average_precision" not in tags.list_assignments("fraud")[0].annotation.metrics


@pytest.mark.parametrize("check", [(signatures, "verify_signature"), (smoke_test, "run_smoke_test")])
def test_image_that_is_unsigned_or_fails_the_smoke_test_is_not_released(
    live: World, monkeypatch: pytest.MonkeyPatch, check: tuple[Any, str]
) -> None:
    live.commit_model("m2")
    monkeypatch.setattr(*check, refuse)
    live.release(code=1)
    assert len(live.deployed) == 1
    assert live.at_origin() == ["fraud#production#1", "fraud@v1.0.0"]
    live.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("action", ["run", "image", "reconcile"])
def test_a_release_to_a_github_hosted_runner_is_refused(
    live: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    live.commit_model("m2")
    live.service = None
    monkeypatch.setattr(ensure_image, "ensure_image", None)  # a call would fail
    before = live.at_origin()
    out = live.release(action, code=2, RUNNER_ENVIRONMENT="github-hosted", IMAGE_REPOSITORY="")
    assert "serving.deploy is null" in out and "`pull`" in out
    assert (live.at_origin(), live.service, live.production) == (before, None, digest(live.deployed[0]))


@pytest.mark.parametrize("runner", ["", "github-hosted"])
def test_with_pull_a_release_assigns_and_asks_no_service(
    world: World, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m1", serving={**serving, "deploy": "pull"})
    monkeypatch.setattr(deploy, "running", None)  # a call would fail
    monkeypatch.setattr(deploy, "ensure_in_production", None)
    out = world.release(RUNNER_ENVIRONMENT=runner)
    assert world.deployed == [] and "make reconcile" in out
    world.commit_model("m2")
    monkeypatch.setattr(smoke_test, "run_smoke_test", refuse)
    world.release(RUNNER_ENVIRONMENT=runner, code=1)
    assert world.deployed == [] and world.at_origin() == ["fraud#production#1", "fraud@v1.0.0"]


def test_a_host_that_pulls_runs_the_newest_assignment_as_its_container(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m1", serving={**serving, "deploy": "pull"})
    world.release()
    # A runner of GitHub is not the host: only registries are reconciled there.
    world.release("reconcile", RUNNER_ENVIRONMENT="github-hosted")
    assert world.service is None
    world.release("reconcile")
    world.release("reconcile")
    assert len(world.deployed) == 1
    world.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize(("runner", "command"), [("github-hosted", ["./deploy.sh"]), ("self-hosted", None)])
def test_deploy_command_or_self_hosted_runner_allows_a_release(
    world: World, runner: str, command: list[str] | None
) -> None:
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m1", serving={**serving, "deploy": command})
    world.release(RUNNER_ENVIRONMENT=runner)
    world.service = None
    world.release("reconcile", RUNNER_ENVIRONMENT=runner)
    world.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("registered", [True, False])
def test_unsigned_image_is_built_again(live: World, monkeypatch: pytest.MonkeyPatch, registered: bool) -> None:
    built: list[str] = []
    monkeypatch.setattr(ensure_image, "ensure_image", ENSURE_IMAGE)
    monkeypatch.setattr(fetch_model, "fetch_model", lambda *_: "DVC's cache")
    monkeypatch.setattr(ensure_image, "build_image", lambda target, *_: built.append(target.release_id))
    monkeypatch.setattr(ensure_image, "push_image", lambda *_: None)
    if not registered:
        live.commit_model("m2")
    for is_signed in (True, False):
        monkeypatch.setattr(signatures, "is_trusted", lambda _, is_signed=is_signed: is_signed)
        live.release("image")
        assert built == ([] if is_signed else [release_id("HEAD")])


def test_with_rebuild_a_model_that_training_does_not_give_again_is_not_built(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb itself does not train what was released: tests/engine/review/test_verify.py."""
    calls: list[tuple[str, ...]] = []

    def refuse_model(*arguments: str) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(ensure_image, "ensure_image", ENSURE_IMAGE)
    monkeypatch.setattr(ensure_image, "run_verb", refuse_model)
    monkeypatch.setattr(fetch_model, "fetch_model", lambda *_: "DVC's cache")
    monkeypatch.setattr(ensure_image, "build_image", lambda *_: None)
    monkeypatch.setattr(ensure_image, "push_image", lambda *_: None)
    before = live.service
    commit = live.commit_model("m2", release={"rebuild": True})
    live.release("image", code=1)
    live.release(code=1)
    assert calls == [("verify", "--rev", commit, "--before-release")] * 2
    assert live.service == before and "fraud#production#2" not in live.at_origin()
    live.release(VERIFIED_COMMIT=commit)
    assert len(calls) == 2
    live.check("m2", "fraud@v1.1.0", 2)
