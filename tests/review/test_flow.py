"""What a second review reuses."""

from __future__ import annotations

import json

import pytest

from pipelines import config, git, past, tags
from pipelines.progress import Progress
from pipelines.review import flow, judge
from pipelines.training.paths import SELECTION
from tests.fixtures_model import SMALL


@pytest.fixture
def reviewed(tmp_path, monkeypatch):
    """The folder of a report whose inputs had the key `key`."""
    monkeypatch.chdir(tmp_path)
    flow.FOLDER.mkdir(parents=True)
    for name in ("review.md", "review.html"):
        (flow.FOLDER / name).write_text("text")
    (flow.FOLDER / "review.json").write_text(json.dumps({"verdict": "pass"}))
    flow.KEY.write_text("key")
    return flow.FOLDER


def test_a_report_of_the_same_inputs_stands(reviewed):
    assert flow._earlier("key") == {"verdict": "pass"}
    assert flow._earlier("another key") is None


@pytest.mark.parametrize("name", ["review.md", "review.html", "review.json", ".inputs"])
def test_a_report_of_which_a_file_is_gone_does_not_stand(reviewed, name):
    (reviewed / name).unlink()
    assert flow._earlier("key") is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_report_that_cannot_be_read_does_not_stand(reviewed, content):
    (reviewed / "review.json").write_bytes(content)
    assert flow._earlier("key") is None


def test_inputs_whose_report_was_not_finished_are_not_remembered(reviewed):
    flow.KEY.write_text("")
    assert flow._earlier("key") is None


def test_candidates_that_are_not_reproducible_are_named_on_the_console_and_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config.PATH.write_text(SMALL)
    SELECTION.parent.mkdir()
    monkeypatch.setattr(past, "fetch", lambda *_: None)
    monkeypatch.setattr(judge, "judge", lambda *_: {"gates": ()})
    monkeypatch.setattr(flow, "worktree_release_id", lambda: "0" * 12)
    monkeypatch.setattr(flow, "file_md5", lambda _: "0" * 32)
    for module, name, answer in ((tags, "registered", {}), (git, "text_at", None), (git, "branch", "b")):
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(git, "commit_of", lambda _: "0" * 40)

    def notes(selection):
        SELECTION.write_text(json.dumps(selection))
        return " ".join(flow._findings(config.load(), "main", "0" * 40, [], (), Progress()).notes)

    assert "Not reproducible: forest, mine." in notes({"not_reproducible": ["forest", "mine"]})
    assert "Not reproducible: forest, mine." in capsys.readouterr().err
    assert "reproducible" not in notes({"not_reproducible": []}) + notes({}) + capsys.readouterr().err
