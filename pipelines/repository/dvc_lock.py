"""dvc.lock: the md5 of each output at a revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError

PATH = Path("dvc.lock")


def read(root: Path = Path()) -> str | None:
    """The text of dvc.lock in the work tree, or None where there is none.

    Raises:
        InputError: if it is not text.
    """
    path = root / PATH
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise _unreadable(str(PATH), error) from error


def is_generated(path: str) -> bool:
    """Whether a path in git is written by the pipeline: dvc.lock, and reports/ but its README and what git ignores."""
    kept = ("reports/review/", "reports/monitor/", "reports/README.md")
    return path == str(PATH) or (path.startswith("reports/") and not path.startswith(kept))


def outputs(text: str | None, where: str = str(PATH)) -> dict[str, str]:
    """Output path -> md5 (a folder's ends in .dir) of the text of a dvc.lock; empty without one.

    Args:
        where: what to call the file in an error.

    Raises:
        InputError: if the text is not a dvc.lock.
    """
    stages = _stages(text, where)
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def data_md5(text: str | None) -> str | None:
    """The md5 of data/ that the pipeline last ran on, or None."""
    for stage in _stages(text, str(PATH)).values():
        for dep in stage.get("deps", []):
            if dep["path"] == "data":
                return str(dep["md5"])
    return None


def _stages(text: str | None, where: str) -> dict[str, Any]:
    try:
        document = yaml.load(text or "", yaml.CSafeLoader) or {}
        stages = document.get("stages", {}) or {}
        if not isinstance(stages, dict):
            raise TypeError("stages is not a mapping")
        for stage in stages.values():
            for entry in [*stage.get("outs", []), *stage.get("deps", [])]:
                str(entry["path"])
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise _unreadable(where, error) from error
    return {name: _with_md5(stage) for name, stage in stages.items()}


def _unreadable(where: str, error: Exception) -> InputError:
    return InputError(f"{where} cannot be read: {error}", f"Restore it: `git checkout origin/main -- {PATH}`.")


def _with_md5(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: [e for e in stage.get(key, []) if "md5" in e] for key in ("outs", "deps")}
