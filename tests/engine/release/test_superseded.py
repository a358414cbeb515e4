"""Releases that run at the same time or are superseded; Docker engine and image registry are fakes."""

from typing import Any

import pytest

from pipelines.release import deploy, ensure_image, flow, smoke_test
from pipelines.repository import push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from tests.engine.release.release_world import World, act_after_call, digest, reference
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world

pytestmark = pytest.mark.repository


def test_reverted_commit_is_superseded_after_later_commits(live: World) -> None:
    reverted = live.commit_model("m2")
    live.commit_model("m1")
    live.commit_model("m3")  # not released yet
    git("checkout", "--quiet", reverted)
    assert "Superseded: main went back to fraud@v1.0.0" in live.release()
    live.check("m1", "fraud@v1.0.0", 1)


def test_revert_that_ends_just_before_the_assignment_is_released(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live.commit_model("m2")
    other, real = live.other(), push_tags.assign_version

    def assign(*given: Any) -> tags.Assignment:
        monkeypatch.setattr(push_tags, "assign_version", real)
        other.commit_model("m1")
        assert "Nothing to release" in live.release(where=other.clone)
        return real(*given)

    monkeypatch.setattr(push_tags, "assign_version", assign)
    assert "main went back to fraud@v1.0.0 meanwhile" in live.release()
    live.check("m1", "fraud@v1.0.0", 3)


@pytest.mark.parametrize("step", ["register_version", "assign_version"])
def test_concurrent_run_in_the_same_clone_creates_no_second_tag(
    live: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    live.commit_model("m2")
    real = getattr(push_tags, step)

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(push_tags, step, real)
        live.release()
        return real(*given)

    monkeypatch.setattr(push_tags, step, meanwhile)
    live.release()
    assert live.at_origin() == ["fraud#production#1", "fraud#production#2", "fraud@v1.0.0", "fraud@v1.1.0"]
    live.check("m2", "fraud@v1.1.0", 2)


@pytest.mark.parametrize("step", [(flow, "_ensure_version"), (deploy, "deploy")])
def test_commit_superseded_during_its_release_is_not_assigned(
    live: World, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str]
) -> None:
    live.commit_model("m2")
    other, superseded = live.other(), release_id("HEAD")

    def release_later_commit() -> None:
        other.commit_model("m3")
        live.release(where=other.clone)

    act_after_call(monkeypatch, *step, release_later_commit)
    live.release()
    assert (superseded in live.deployed) == (step == (deploy, "deploy"))
    live.check("m3", "fraud@v1.2.0", 2)


def test_older_commit_with_the_same_release_id_is_superseded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.commit_model("m1")
    other = world.other()
    later = other.commit("document it")
    act_after_call(monkeypatch, flow, "_ensure_version", lambda: world.release(where=other.clone))
    world.release()
    assert [each.main_commit for each in tags.list_assignments("fraud")] == [later]


def test_version_registered_by_a_concurrent_run_is_not_registered_twice(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.commit_model("m2")
    act_after_call(
        monkeypatch,
        smoke_test,
        "run_smoke_test",
        lambda: act_after_call(monkeypatch, tags, "list_versions", live.release),
    )
    live.release()
    assert live.at_origin() == ["fraud#production#1", "fraud#production#2", "fraud@v1.0.0", "fraud@v1.1.0"]


def test_later_commit_assigned_by_a_concurrent_run_stays_in_production(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.commit_model("m2")
    other = live.other()

    def release_later_commit() -> None:
        other.commit_model("m3")
        live.release(where=other.clone)
        tags.fetch_tags("fraud")

    act_after_call(
        monkeypatch,
        deploy,
        "deploy",
        lambda: act_after_call(monkeypatch, flow, "_require_not_superseded", release_later_commit),
    )
    live.release()
    live.check("m3", "fraud@v1.2.0", 2)


def test_commit_with_a_former_model_name_is_superseded(world: World) -> None:
    old = world.commit_model("m1")
    world.release()
    world.commit_model("m2", model_name="churn")
    world.release()
    now = world.service
    git("checkout", "--quiet", old)
    assert "main releases churn now" in world.release()
    assert world.service == now != release_id(old)


def test_release_that_ends_during_a_rebuild_stays_in_production(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live.lost.add(digest(release_id("HEAD")))
    other, real = live.other(), ensure_image.ensure_image

    def build_again(*given: Any) -> tuple[str, bool]:
        monkeypatch.setattr(ensure_image, "ensure_image", real)
        other.commit_model("m2")
        live.release(where=other.clone)
        return reference("c" * 12), True

    monkeypatch.setattr(ensure_image, "ensure_image", build_again)
    assert "fraud@v1.1.0 is in production as fraud#production#2" in live.release("reconcile")
    live.check("m2", "fraud@v1.1.0", 2)
