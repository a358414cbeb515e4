"""When the last report is used again."""

import json

import pytest

from pipelines.config.paths import REVIEW
from pipelines.repository import git
from pipelines.review import report_cache
from pipelines.review.report_cache import inputs_key, take_report, use_again
from tests.engine.fixtures_model import SMALL


@pytest.fixture
def reviewed(tmp_path, monkeypatch):
    """The folder of a report whose inputs had the key `key`."""
    monkeypatch.chdir(tmp_path)
    REVIEW.mkdir(parents=True)
    for name in ("review.md", "review.html"):
        (REVIEW / name).write_text("text")
    (REVIEW / "review.json").write_text(json.dumps({"verdict": "pass"}))
    report_cache.remember("key")
    return REVIEW


def test_a_report_of_the_same_inputs_is_used_again(reviewed):
    before = {path.name: path.read_bytes() for path in reviewed.iterdir()}
    assert use_again(take_report(), "another key") is False
    assert list(reviewed.iterdir()) == []
    for name, content in before.items():
        (reviewed / name).write_bytes(content)
    assert use_again(take_report(), "key")
    assert {path.name: path.read_bytes() for path in reviewed.iterdir()} == before


@pytest.mark.parametrize("name", ["review.md", "review.html", "review.json", ".inputs"])
def test_a_report_that_lacks_a_file_is_not_used_again(reviewed, name):
    (reviewed / name).unlink()
    assert use_again(take_report(), "key") is False
    assert list(reviewed.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_report_that_cannot_be_read_is_not_used_again(reviewed, content):
    (reviewed / "review.json").write_bytes(content)
    assert use_again(take_report(), "key") is False


def test_a_report_that_was_not_finished_is_not_used_again(reviewed):
    report_cache.remember("")  # what a review writes that has no key
    assert use_again(take_report(), "key") is False


KEYED = (
    "params.yaml", "dvc.lock", "models/model.onnx", "requirements/pipelines.txt", "pipelines/model/metrics.py",
    "pipelines/review/gates/metrics.py", "pipelines/review/templates/page.css", "tests/critical/cases.yaml",
)  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A commit with a file of each kind that a report depends on."""
    monkeypatch.chdir(tmp_path)
    for path in KEYED:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(SMALL if path == "params.yaml" else "text\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n/models/\n")
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
    for command in (("init", "--quiet"), ("add", "--all"), (*identity, "commit", "--quiet", "-m", "first")):
        git.git(*command)
    return tmp_path


@pytest.mark.parametrize("path", KEYED)
def test_a_second_uncommitted_edit_of_a_file_gives_another_key(repository, path):
    keys = [inputs_key("b" * 40, [])]
    for _ in range(2):
        with (repository / path).open("a") as file:
            file.write("# edited\n")
        keys.append(inputs_key("b" * 40, [f"The work tree differs from its commit: {path}."]))
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    "target", ["pipelines/model/moved.py", "pipelines/review/moved.py", "pipelines/review/gates/deeper/moved.py"]
)
def test_a_module_that_moves_gives_another_key(repository, target):
    key = inputs_key("b" * 40, [])
    (repository / target).parent.mkdir(exist_ok=True)
    (repository / "pipelines/model/metrics.py").rename(repository / target)
    assert inputs_key("b" * 40, []) != key


@pytest.mark.parametrize(
    "path", ["pipelines/new.py", "pipelines/review/gates/new.py", "pipelines/new_room/new.py", "pipelines/review/new"]
)
def test_a_new_file_of_the_engine_gives_another_key(repository, path):
    key = inputs_key("b" * 40, [])
    (repository / path).parent.mkdir(exist_ok=True)
    (repository / path).write_text("text\n")
    assert inputs_key("b" * 40, []) != key


def test_the_key_depends_on_base_notes_and_a_new_critical_case_and_on_no_other_file(repository):
    key = inputs_key("b" * 40, [])
    (repository / "README.md").write_text("another readme")
    compiled = repository / "pipelines/review/__pycache__/flow.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"code")
    assert inputs_key("b" * 40, []) == key
    others = {inputs_key("c" * 40, []), inputs_key("b" * 40, ["a note"])}
    (repository / "tests/critical/more.yaml").write_text("[]")
    assert len({key, *others, inputs_key("b" * 40, [])}) == 4
