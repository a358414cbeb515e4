"""What a second review reuses."""

from __future__ import annotations

import json

import pytest

from pipelines.review import flow


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
