"""The last report: removed when a review begins, and put back if the review has the same inputs.

A review that ends early therefore leaves no report, neither an earlier one nor one that somebody committed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.files import write_text
from pipelines.config.params import load
from pipelines.config.paths import MODEL, REVIEW
from pipelines.config.read import PATH
from pipelines.repository import dvc_lock, git, tags
from pipelines.repository.dvc import file_md5

KEY = REVIEW / ".inputs"
REPORTS = tuple(REVIEW / name for name in ("review.json", "review.md", "review.html"))


def inputs_key(base_sha: str, notes: list[str]) -> str:
    """A hash of all that a report depends on, without the seconds of stages and where the base's model came from."""
    parts: dict[str, Any] = {"base": base_sha, "head": git.commit_of("HEAD"), "branch": git.branch(), "notes": notes}
    files = [dvc_lock.PATH, PATH, MODEL, Path("requirements/pipelines.txt")]
    files += sorted(Path("tests/critical").glob("*.yaml"))
    files += sorted(Path("pipelines").rglob("*"))  # whatever a review imports, and its templates
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            parts[str(path)] = file_md5(path)
    model_name = load().model_name
    parts["tags"] = sorted(tags.versions_by_release_id(model_name).items())
    parts["assignments"] = [assignment.tag for assignment in tags.list_assignments(model_name)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Report:
    """The files of a report, and the key of its inputs."""

    key: str
    files: dict[Path, bytes]


def take_report() -> Report | None:
    """Remove the last report; return it, or None if a file of it or its key is missing."""
    files = {path: path.read_bytes() for path in (KEY, *REPORTS) if path.is_file()}
    for path in (KEY, *REPORTS):
        path.unlink(missing_ok=True)
    if len(files) <= len(REPORTS):
        return None
    return Report(files.pop(KEY).decode(errors="replace"), files)


def use_again(last: Report | None, key: str) -> dict[str, Any] | None:
    """Put the last report back and return its review.json; None if there is none, or its inputs had another key."""
    if last is None or last.key != key:
        return None
    try:
        document: dict[str, Any] = json.loads(last.files[REPORTS[0]])
    except ValueError:
        return None
    for path, content in last.files.items():
        path.write_bytes(content)
    remember(key)
    return document


def remember(key: str) -> None:
    """Record the key of the report that was just written."""
    write_text(KEY, key)
