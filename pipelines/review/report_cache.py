"""The last report: removed when a review begins, and put back if the review has the same inputs.

A review that ends early therefore leaves no report, neither an earlier one nor one that somebody committed.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.cli.files import write_text
from pipelines.config.params import load
from pipelines.config.paths import MODEL, REVIEW
from pipelines.repository import git, tags
from pipelines.repository.dvc import file_md5

KEY = REVIEW / ".inputs"
REPORTS = tuple(REVIEW / name for name in ("review.json", "review.md", "review.html"))
_FILES = (*REPORTS, KEY)  # the key last, which says that the others are whole
# Whatever a review imports, and its templates, is in pipelines/.
_INPUTS = ["dvc.lock", "params.yaml", "requirements/pipelines.txt", "tests/critical", "pipelines"]


def inputs_key(base_sha: str, notes: Sequence[str]) -> str:
    """A hash of all that a report depends on, without the seconds of stages and where the base's model came from."""
    model_name = load().model_name
    parts = {
        "base": base_sha,
        "head": git.commit_of("HEAD"),
        "branch": git.branch(),
        "notes": notes,
        "tree": git.tree_of_worktree(_INPUTS),
        "model": file_md5(MODEL),
        "tags": sorted(tags.versions_by_release_id(model_name).items()),
        "assignments": [assignment.tag for assignment in tags.list_assignments(model_name)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def take_report() -> dict[Path, bytes]:
    """Remove the last report; return its files and the key of its inputs, or nothing if one is missing."""
    files = {path: path.read_bytes() for path in _FILES if path.is_file()}
    for path in _FILES:
        path.unlink(missing_ok=True)
    return files if len(files) == len(_FILES) else {}


def use_again(last: dict[Path, bytes], key: str) -> bool:
    """Put the last report back if its inputs had this key, and review.json can be read; return whether it is back."""
    if last.get(KEY) != key.encode():
        return False
    try:
        json.loads(last[REPORTS[0]])
    except ValueError:
        return False
    for path, content in last.items():
        path.write_bytes(content)
    return True


def remember(key: str) -> None:
    """Record the key of the report that was just written."""
    write_text(KEY, key)
