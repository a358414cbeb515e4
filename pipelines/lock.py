"""dvc.lock as it is needed here: which md5 an output has at a revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import InputError

PATH = Path("dvc.lock")


def outputs(text: str | None) -> dict[str, str]:
    """Output path -> md5 (a folder's ends in .dir) of the text of a dvc.lock; empty without one.

    Raises:
        InputError: if the text is no dvc.lock.
    """
    stages = _stages(text)
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def data_md5(text: str | None) -> str | None:
    """The md5 of data/ that the pipeline last ran on, or None."""
    for stage in _stages(text).values():
        for dep in stage.get("deps", []):
            if dep["path"] == "data":
                return str(dep["md5"])
    return None


def _stages(text: str | None) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text or "") or {}
        stages = document.get("stages", {}) or {}
        if not isinstance(stages, dict):
            raise TypeError("stages is not a mapping")
        for stage in stages.values():
            for entry in [*stage.get("outs", []), *stage.get("deps", [])]:
                str(entry["path"])
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"{PATH} cannot be read: {error}", "Restore it: `git checkout origin/main -- dvc.lock`.") from error
    return {name: _with_md5(stage) for name, stage in stages.items()}


def _with_md5(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: [e for e in stage.get(key, []) if "md5" in e] for key in ("outs", "deps")}
