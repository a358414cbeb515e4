"""When a release that GitHub skipped is started."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipelines.github.client import GitHub
from tests.engine.release.release_world import World
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world

pytestmark = pytest.mark.repository


@dataclass
class FakeGitHub:
    """The commits for which release.yml ran, and what was dispatched."""

    ran: list[str] = field(default_factory=list)
    dispatched: list[tuple[str, str]] = field(default_factory=list)

    def workflow_runs(self, workflow: str, sha: str) -> Any:
        return iter([{"id": 1}] if workflow == "release.yml" and sha in self.ran else [])

    def dispatch(self, workflow: str, ref: str) -> None:
        self.dispatched.append((workflow, ref))


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    made = FakeGitHub()
    monkeypatch.setattr(GitHub, "from_environment", lambda: made)
    return made


def test_a_release_is_started_only_if_production_lacks_it_and_nothing_ran_for_the_commit(
    live: World, github: FakeGitHub
) -> None:
    live.release("check")
    assert github.dispatched == []
    live.commit("A document [skip ci]")
    live.release("check")
    assert github.dispatched == []
    skipped = live.commit_model("m2")
    live.release("check")
    assert github.dispatched == [("release.yml", "main")]
    github.ran.append(skipped)  # and failed
    live.release("check")
    assert github.dispatched == [("release.yml", "main")]


def test_the_first_release_of_a_copy_is_started(world: World, github: FakeGitHub) -> None:
    world.commit_model("m1")
    world.release("check")
    assert github.dispatched == [("release.yml", "main")]
