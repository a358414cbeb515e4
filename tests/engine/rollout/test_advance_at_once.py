"""Two runs at once of what changes a rollout's tags. Other verbs are recorded, not run."""

import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import Refused
from pipelines.config.params import Params
from pipelines.release.canary import end_if_passed
from pipelines.repository import tags
from pipelines.repository.git import git
from pipelines.rollout import advance as module
from pipelines.rollout.advance import advance
from tests.engine.release.tag_repository import assign_version
from tests.engine.release.tag_repository import tag_repository as tag_repository
from tests.engine.release.test_tagging import gto
from tests.engine.rollout.test_advance import listed, write_record
from tests.engine.rollout.test_advance import params as params
from tests.engine.rollout.test_advance import repository as repository
from tests.engine.rollout.test_advance import started as started

pytestmark = pytest.mark.repository


def act_first(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], tmp_path: Path) -> None:
    """Let another clone act between the decision of this one and its tag."""
    git("clone", "--quiet", git("remote", "get-url", "origin"), str(tmp_path / "other"))
    real = module._decide

    def decide(*arguments: Any) -> Any:
        decision = real(*arguments)
        monkeypatch.setattr(module, "_decide", real)
        with chdir(tmp_path / "other"):
            tags.fetch_tags("fraud")
            action()
        return decision

    monkeypatch.setattr(module, "_decide", decide)


def test_of_two_runs_at_once_one_takes_the_step(
    params: Params, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_record(params)

    def advance_later() -> None:
        now = time.time() + 100  # in the same second both would make the same tag
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now)
            advance(params)

    act_first(monkeypatch, advance_later, tmp_path)
    with pytest.raises(Refused, match="no longer the canary"):
        advance(params)
    assert listed()[-1] == "fraud#canary#3"
    assert started == [("release", "reconcile")]


def test_a_revert_ends_the_canary_also_if_its_tag_has_the_counter_of_a_step(
    params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_record(params)
    version = tags.find_version("fraud", "a" * 12)
    assert version
    act_first(monkeypatch, lambda: assign_version(version), tmp_path)
    assert advance(params) == 0
    assert set(listed()[-2:]) == {"fraud#canary#3", "fraud#production#3"}
    tags.fetch_tags("fraud")
    assert tags.find_canary("fraud") is None
    end_if_passed("fraud")
    assert listed()[-1] == "fraud#canary!#4"
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.0.0"
    assert gto("show", "fraud#canary", "--ref").strip() == ""
