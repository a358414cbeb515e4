"""Whether the last report still holds: a review of the same inputs prints it again."""

from __future__ import annotations

import hashlib
import json
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


def cached_report(key: str) -> dict[str, Any] | None:
    """review.json of the last review, or None if its inputs had another key or a file of its report is missing."""
    if not all(path.is_file() for path in (KEY, *REPORTS)) or KEY.read_text(encoding="utf-8") != key:
        return None
    try:
        document: dict[str, Any] = json.loads(REPORTS[0].read_text(encoding="utf-8"))
    except ValueError:
        return None
    return document


def forget() -> None:
    """Remove the key; called before a report is written."""
    KEY.unlink(missing_ok=True)


def remember(key: str) -> None:
    """Record the key of the report that was just written."""
    write_text(KEY, key)
