"""The event of a workflow's run."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.publish import event

SHA = "a" * 40
GOOD: dict[str, Any] = {
    "action": "opened",
    "repository": {"full_name": "acme/fraud"},
    "pull_request": {"number": 7, "head": {"ref": "x", "sha": SHA, "repo": {"full_name": "acme/fraud"}}},
}


def write_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any) -> None:
    path = tmp_path / "event.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))


def test_unused_fields_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_event(tmp_path, monkeypatch, GOOD)
    assert event.read_event(event.PullRequestEvent).number == 7


def test_a_deleted_fork_has_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(json.dumps(GOOD))
    document["pull_request"]["head"]["repo"] = None
    write_event(tmp_path, monkeypatch, document)
    assert event.read_event(event.PullRequestEvent).head_repository is None


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"pull_request": {}}, "pull_request.number"),
        ({"repository": {"full_name": "../../x"}}, "repository.full_name"),
        ({"pull_request": {"number": 7, "head": {"ref": "x", "sha": "--upload-pack=x", "repo": None}}}, "head.sha"),
        ({"pull_request": {"number": "7", "head": GOOD["pull_request"]["head"]}}, "pull_request.number"),
    ],
)
def test_missing_or_invalid_fields_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], names: str
) -> None:
    write_event(tmp_path, monkeypatch, GOOD | change)
    with pytest.raises(InputError, match=names):
        event.read_event(event.PullRequestEvent)


@pytest.mark.parametrize("text", ["", "[", "[]", "null"])
def test_a_file_without_an_event_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    write_event(tmp_path, monkeypatch, text)
    with pytest.raises(InputError):
        event.read_event(event.PullRequestEvent)


def test_a_missing_event_path_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    with pytest.raises(InputError, match="not set"):
        event.read_event(event.PullRequestEvent)
