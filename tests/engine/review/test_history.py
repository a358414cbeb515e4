"""Small losses that add up over versions fail the review; versions that cannot be compared give a note.

Needs the small problem (git, DVC, the whole pipeline).
"""

import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock
from pipelines.repository.base_model import fetch_stored
from pipelines.repository.tags import Annotation
from tests.engine.fixtures_repo import Repo, point_at_cache
from tests.engine.in_process import must, reproduce, review

MODEL = "models/model.onnx"


def register(repo: Repo, version: str, model: str = "") -> None:
    """Tag HEAD as a version, as a release does."""
    model = model or dvc_lock.outputs((repo.path / "dvc.lock").read_text())[MODEL]
    annotation = Annotation(
        release=f"{int(version[-1]):012x}",
        image=f"example.org/fraud@sha256:{'0' * 64}",
        model=model,
        signature="0" * 32,
    )
    repo.git("tag", "--annotate", f"fraud@v{version}", "--message", annotation.to_yaml())


def settle(repo: Repo) -> None:
    """Commit all there is, and let main have it."""
    repo.commit()
    repo.git("branch", "--force", "main")


def shorten(repo: Repo, rounds: int) -> None:
    """Train a slightly worse model, with fewer rounds of boosting."""
    repo.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=rounds))
    reproduce(repo)


def only_history(document: dict[str, Any]) -> None:
    """Compare by one metric, with a tolerance that the small test set can tell."""
    history = {"versions": 5, "regression": {"average_precision": 0.02}}
    document["gates"] |= {"floors": {}, "regression": {"average_precision": 0.08}, "history": history}
    document["slices"]["by"] = {}
    del document["fairness"]


def test_small_losses_pass_one_by_one_and_fail_together(quick: Repo) -> None:
    quick.params(only_history)
    settle(quick)
    must(review(quick))
    assert not any(gate["group"] == "history" for gate in quick.report["gates"])
    assert quick.report["history"] == []  # no version is registered

    register(quick, "1.0.0")
    shorten(quick, 30)
    must(review(quick))
    settle(quick)
    register(quick, "1.1.0")

    shorten(quick, 14)
    must(review(quick), 1)
    assert set(quick.failed) == {"history average_precision"}
    assert "since fraud@v1.0.0" in quick.failed["history average_precision"]
    assert [row["version"] for row in quick.report["history"]] == ["fraud@v1.1.0", "fraud@v1.0.0"]

    # Without the setting it passes by weaker rules only.
    quick.params(lambda document: document["gates"].pop("history"))
    must(review(quick), 1)
    assert set(quick.failed) == {"weaker rules: history average_precision"}


def test_versions_that_are_nowhere_or_not_comparable_give_a_note_and_change_no_verdict(repo: Repo) -> None:
    repo.params(lambda document: document["gates"].update(history=only_setting()))
    settle(repo)
    lock = repo.path / "dvc.lock"
    before = lock.read_text()
    lock.write_text(before.replace(dvc_lock.outputs(before)[MODEL], "e" * 32))
    repo.commit("a model that nobody has")
    register(repo, "1.0.0")
    lock.write_text("stages: {}\n")
    repo.commit("no model")
    register(repo, "1.0.1", model="d" * 32)
    lock.write_text("stages: 7\n")
    repo.commit("not a dvc.lock")
    register(repo, "1.0.2", model="c" * 32)
    repo.git("reset", "--quiet", "--hard", "main")
    register(repo, "1.0.3")  # the head's own model
    must(review(repo))
    notes = [note for note in repo.report["notes"] if "Not compared with" in note]
    assert [note.split(":")[0] for note in notes] == [f"Not compared with fraud@v1.0.{i}" for i in (2, 1, 0)]
    assert "in no cache and no remote" in notes[2] and repo.report["history"] == []


def only_setting() -> dict[str, Any]:
    return {"versions": 4, "regression": {"average_precision": 0.01}}


def test_models_of_versions_come_from_the_remote(repo: Repo, tmp_path: Path) -> None:
    commit = repo.git("rev-parse", "HEAD")
    remote, empty = tmp_path / "remote", tmp_path / "empty"
    shutil.copytree(repo.cache, remote)
    point_at_cache(Repo(repo.path, empty))
    shutil.rmtree(repo.path / ".mainline", ignore_errors=True)
    with chdir(repo.path):
        assert fetch_stored(commit, Progress()) is None
        with (repo.path / ".dvc/config.local").open("a") as file:
            file.write(f"[core]\n    remote = far\n['remote \"far\"']\n    url = {remote}\n")
        model = fetch_stored(commit, Progress())
        assert model.source == "remote" and json.loads(model.signature.read_text())
        shutil.rmtree(repo.path / ".mainline")
        shutil.rmtree(remote)
        shutil.rmtree(empty)
        with pytest.raises(Unreachable, match="not in the remote far"):
            fetch_stored(commit, Progress())
