"""What a second review reuses."""

from __future__ import annotations

import json

import pytest

from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.config.paths import SELECTION
from pipelines.config.read import PATH
from pipelines.repository import base_model, git, tags
from pipelines.review import flow, judge
from tests.engine.fixtures_model import SMALL


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
    PATH.write_text(SMALL)
    SELECTION.parent.mkdir()
    monkeypatch.setattr(base_model, "fetch", lambda *_: None)
    monkeypatch.setattr(judge, "judge", lambda *_: {"gates": ()})
    monkeypatch.setattr(flow, "worktree_release_id", lambda: "0" * 12)
    monkeypatch.setattr(flow, "file_md5", lambda _: "0" * 32)
    for module, name, answer in ((tags, "registered", {}), (git, "text_at", None), (git, "branch", "b")):
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(git, "commit_of", lambda _: "0" * 40)

    def notes(selection):
        SELECTION.write_text(json.dumps(selection))
        return " ".join(flow._findings(load(), "main", "0" * 40, [], (), Progress()).notes)

    assert "Not reproducible: forest, mine." in notes({"not_reproducible": ["forest", "mine"]})
    assert "Not reproducible: forest, mine." in capsys.readouterr().err
    assert "reproducible" not in notes({"not_reproducible": []}) + notes({}) + capsys.readouterr().err


KEYED = (
    "params.yaml", "dvc.lock", "models/model.onnx", "requirements/pipelines.txt", "pipelines/metrics/compute.py",
    "pipelines/review/gates.py", "pipelines/review/templates/page.css", "tests/critical/cases.yaml",
)  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A commit with a file of each kind that a report follows from."""
    monkeypatch.chdir(tmp_path)
    for path in KEYED:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(SMALL if path == "params.yaml" else "text\n")
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
    for command in (("init", "--quiet"), ("add", "--all"), (*identity, "commit", "--quiet", "-m", "first")):
        git.git(*command)
    return tmp_path


@pytest.mark.parametrize("path", KEYED)
def test_a_second_uncommitted_edit_of_a_file_gives_another_key(repository, path):
    keys = [flow.inputs_key("b" * 40, [])]
    for _ in range(2):
        with (repository / path).open("a") as file:
            file.write("# edited\n")
        keys.append(flow.inputs_key("b" * 40, [f"The work tree differs from its commit: {path}."]))
    assert len(set(keys)) == 3


def test_the_key_follows_the_base_the_notes_and_a_new_critical_case_and_nothing_else(repository):
    key = flow.inputs_key("b" * 40, [])
    (repository / "README.md").write_text("another readme")
    assert flow.inputs_key("b" * 40, []) == key
    others = {flow.inputs_key("c" * 40, []), flow.inputs_key("b" * 40, ["a note"])}
    (repository / "tests/critical/more.yaml").write_text("[]")
    assert len({key, *others, flow.inputs_key("b" * 40, [])}) == 4
