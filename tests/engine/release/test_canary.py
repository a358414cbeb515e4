"""Releases under a rollout: which begin as a canary, and what ends one. Docker and the image registry are fakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.release import deploy
from pipelines.repository import push_tags, tags
from pipelines.repository.git import git
from tests.engine.release.release_world import World, kill_before_push
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world

pytestmark = pytest.mark.repository

ROLLOUT: dict[str, Any] = {"steps": [5, 25]}
DEPLOY = deploy.deploy


@pytest.fixture
def rolling(live: World) -> World:
    """A clone whose model `m1` is in production, and whose model `m2` is a canary."""

    def make() -> None:
        live.commit_model("m2", rollout=ROLLOUT)
        live.release()

    return live.resume("rolling", make)


def canary_tag() -> str | None:
    """The tag of the canary that runs, as git has it."""
    running = tags.find_canary("fraud")
    return running.tag if running else None


def test_release_begins_as_a_canary_and_leaves_production_alone(rolling: World) -> None:
    running = tags.find_canary("fraud")
    assert running and running.annotation.weight == 5
    assert rolling.canary == (running.release_id, 5)
    assert rolling.at_origin() == ["fraud#canary#2", "fraud#production#1", "fraud@v1.0.0", "fraud@v1.1.0"]
    rolling.check("m1", "fraud@v1.0.0", 1)


def test_first_release_goes_to_everybody(world: World) -> None:
    world.commit_model("m1", rollout=ROLLOUT)
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)
    assert canary_tag() is None


def test_release_of_a_canary_again_changes_nothing(rolling: World) -> None:
    before = rolling.at_origin()
    assert "is a canary" in rolling.release()
    rolling.commit("documents only")
    assert "is a canary" in rolling.release()
    assert rolling.at_origin() == before


def test_revert_ends_the_canary_and_is_none(rolling: World) -> None:
    git("revert", "--no-edit", "HEAD", cwd=rolling.clone)
    rolling.commit("revert")
    rolling.release()
    assert rolling.at_origin()[0] == "fraud#canary!#3"
    assert (canary_tag(), rolling.canary) == (None, None)
    rolling.check("m1", "fraud@v1.0.0", 1)


def test_earlier_release_of_production_goes_to_everybody_and_ends_the_canary(rolling: World) -> None:
    rolling.commit_model("m3", rollout=None)
    rolling.release()
    rolling.check("m3", "fraud@v1.2.0", 3)
    rolling.commit_model("m4", rollout=ROLLOUT)
    rolling.release()
    assert canary_tag() == "fraud#canary#5"
    rolling.commit_model("m1", rollout=ROLLOUT)
    rolling.release()
    rolling.check("m1", "fraud@v1.0.0", 6)
    assert (canary_tag(), rolling.canary) == (None, None)


def test_newer_release_replaces_the_canary(rolling: World) -> None:
    rolling.commit_model("m3")
    rolling.release()
    running = tags.find_canary("fraud")
    assert running and (running.tag, running.version) == ("fraud#canary#3", "fraud@v1.2.0")
    assert rolling.canary == (running.release_id, 5)


def test_older_commit_is_superseded_by_the_canary(rolling: World) -> None:
    older = rolling.commit_model("m3")
    rolling.commit_model("m4")
    rolling.release()
    assert "Superseded" in rolling.release("run", "--rev", older)
    running = tags.find_canary("fraud")
    assert running and running.version == "fraud@v1.2.0"


def test_aborted_canary_begins_again_only_when_asked(rolling: World) -> None:
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.CANARY_END, why="errors")
    assert "canary was aborted" in rolling.release()
    rolling.commit("documents only")
    assert "canary was aborted" in rolling.release()
    assert (canary_tag(), rolling.canary) == (None, None)
    rolling.release("run", "--retry")
    assert canary_tag() == "fraud#canary#4"


def test_canary_that_does_not_come_up_assigns_nothing(live: World) -> None:
    live.commit_model("m2", rollout=ROLLOUT)
    live.broken = live.release("id").strip()
    live.release(code=1)
    assert canary_tag() is None
    live.check("m1", "fraud@v1.0.0", 1)


def test_release_killed_before_the_canary_s_tag_is_completed(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live.commit_model("m2", rollout=ROLLOUT)
    with monkeypatch.context() as patch:
        kill_before_push(patch, "canary")
        live.release(code=130)
    live.release("reconcile")
    assert (canary_tag(), live.canary) == (None, None)
    live.release()
    assert canary_tag() == "fraud#canary#2"


def test_promotion_that_was_killed_after_its_tag_is_completed_by_reconcile(rolling: World) -> None:
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.PRODUCTION)
    rolling.release("reconcile")
    rolling.check("m2", "fraud@v1.1.0", 3)
    assert rolling.canary is None
    assert rolling.at_origin()[0] == "fraud#canary!#4"
    rolling.release("reconcile")
    assert rolling.at_origin()[0] == "fraud#canary!#4"


@pytest.fixture
def commanded(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """A clone whose command deploys `m1`, and `m2` as a canary; returns what it was asked since the last call."""
    asked = tmp_path / "asked"
    script = tmp_path / "deploy.sh"
    script.write_text(f'#!/bin/sh\necho "$MODEL_VERSION $ROLE $WEIGHT $*" >> {asked}\n')
    script.chmod(0o755)
    monkeypatch.setattr(deploy, "deploy", DEPLOY)
    monkeypatch.setattr(deploy, "wait_for_release", lambda *_: True)
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    command = [str(script), "--to={ROLE}:{WEIGHT}"]
    world.commit_model("m1", rollout=ROLLOUT, serving={**serving, "deploy": command})
    world.release()

    def read() -> list[str]:
        lines = asked.read_text().splitlines() if asked.exists() else []
        asked.unlink(missing_ok=True)
        return lines

    assert set(read()) == {"fraud@v1.0.0 production 100 --to=production:100"}
    world.commit_model("m2")
    world.release()
    return read


def test_command_gives_the_canary_its_share_and_takes_it_away_before_anything_else(
    world: World, commanded: Callable[[], list[str]]
) -> None:
    five = ["fraud@v1.1.0 canary 5 --to=canary:5", "fraud@v1.0.0 production 95 --to=production:95"]
    assert commanded() == five
    world.release("reconcile")
    assert commanded() == five
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.CANARY_END, why="errors")
    world.release("reconcile")
    assert commanded() == ["fraud@v1.1.0 canary 0 --to=canary:0", "fraud@v1.0.0 production 100 --to=production:100"]


def test_command_that_fails_for_the_canary_still_runs_for_production(
    world: World, commanded: Callable[[], list[str]], tmp_path: Path
) -> None:
    commanded()
    script = tmp_path / "deploy.sh"
    script.write_text(script.read_text() + '[ "$ROLE" = production ]\n')
    assert "ended with 1" in world.release("reconcile", code=1)
    assert [line.split()[1] for line in commanded()] == ["canary", "production"]


def test_command_puts_a_promoted_canary_into_production_before_its_share_ends(
    world: World, commanded: Callable[[], list[str]]
) -> None:
    commanded()
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.PRODUCTION)
    world.release("reconcile")
    assert commanded() == ["fraud@v1.1.0 production 100 --to=production:100", "fraud@v1.1.0 canary 0 --to=canary:0"]


def test_command_that_cannot_split_requests_or_decide_is_refused_for_a_rollout(world: World) -> None:
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    words = ["./deploy.sh", "{ROLE}"]
    world.commit_model("m1", rollout={**ROLLOUT, "sticky": "X-Id"}, serving={**serving, "deploy": words})
    out = world.release(code=2)
    assert "serving.deploy" in out and "{WEIGHT}" in out and "rollout.sticky" in out
