"""review.yml on the problem that the template comes with, at its full size and from nothing: no data, no cache.

Needs git, DVC and the whole pipeline, act, emulate and Prism. It takes minutes: everything else runs the small problem.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines import lock
from pipelines.reproduce import file_md5
from tests.fixtures_repo import Repo, copy_sources
from tests.workflows.github_fake import GitHubFake
from tests.workflows.world import World, docs


@pytest.fixture
def world(github: GitHubFake, tmp_path: Path) -> Iterator[World]:
    """acme/fraud as somebody has it who just made it from the template."""
    origin = Repo(tmp_path / "template/origin", tmp_path / "template/cache")
    origin.path.mkdir(parents=True)
    copy_sources(origin.path)
    origin.git("init", "--quiet", "--initial-branch=main")
    origin.commit("from the template")
    yield World(origin.path.parent, tmp_path / "world", github)
    assert github.invalid == []
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_the_first_pull_request_of_a_new_repository_is_reviewed_and_told_of(world: World) -> None:
    number = world.open(docs)
    head = world.tip(world.ref(number))
    run = world.review(number)
    assert run.conclusions == {"review": "success", "publish": "success"}, run.log
    report = json.loads((run.artifacts["review"] / "reports/review/review.json").read_text())
    params = yaml.safe_load(world.show(f"{head}:params.yaml"))
    # Nothing was at hand: the rows were simulated, every candidate was trained.
    ran = {stage["name"] for stage in report["stages"] if stage["state"] == "ran"}
    assert {f"train@{name}" for name in params["candidates"]} | {"export"} <= ran
    named = lock.outputs((run.artifacts["review"] / "dvc.lock").read_text())["models/model.onnx"]
    assert file_md5(run.artifacts["review"] / "models/model.onnx") == named == report["head"]["model"]
    assert report["verdict"] == "pass"
    assert {f"floor {name}" for name in params["gates"]["floors"]} <= {gate["name"] for gate in report["gates"]}
    assert report["critical"] and report["slices"] and report["metrics"]
    (comment,) = world.github.comments(number)
    assert comment.startswith(run.jobs["review"].summary.rstrip())
