"""dvc.lock: the md5 of each output at a revision."""

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.paths import CANDIDATES, PREPARED

PATH = Path("dvc.lock")
_NOT_GENERATED = ("reports/review/", "reports/monitor/", "reports/README.md")  # of reports/


def read(root: Path = Path()) -> str | None:
    """Read dvc.lock of the work tree; return None if there is none, and raise InputError if it is not text."""
    try:
        return (root / PATH).read_text(encoding="utf-8") if (root / PATH).is_file() else None
    except UnicodeDecodeError as error:
        raise _unreadable(str(PATH), error) from error


def is_generated(path: str) -> bool:
    """Return whether the pipeline writes a file of git: dvc.lock, and reports/ except for its README."""
    return path == str(PATH) or (path.startswith("reports/") and not path.startswith(_NOT_GENERATED))


def outputs(text: str | None, name: str = str(PATH)) -> dict[str, str]:
    """Return output path -> md5 (that of a folder ends in .dir) of the text of a dvc.lock; None has no outputs.

    Raises InputError, with the `name` of the file, if the text is not a dvc.lock.
    """
    return _md5s(text, "outs", name)


def data_md5(text: str | None) -> str | None:
    """Return the md5 of data/ that the pipeline last ran on, or None."""
    return _md5s(text, "deps", str(PATH)).get("data")


def prepared_md5(text: str | None) -> str | None:
    """Return the md5 of the rows that the model was trained on: data/ in commits without a stage `prepare`."""
    return outputs(text).get(str(PREPARED)) or data_md5(text)


def prune(candidates: Collection[str]) -> list[str]:
    """Remove files and entries of candidates that params.yaml no longer has, and return their names.

    `dvc repro` alone keeps both.
    """
    removed = {path.stem for path in CANDIDATES.glob("*.onnx")} - set(candidates)
    for name in removed:
        (CANDIDATES / f"{name}.onnx").unlink()
    text = read()
    outputs(text)  # raises InputError if it is not a dvc.lock
    document = yaml.load(text or "", yaml.CSafeLoader) or {}
    stages = document.get("stages") or {}
    old = {name for name in stages if name.startswith("train@")} - {f"train@{name}" for name in candidates}
    if old:
        document["stages"] = {name: stage for name, stage in stages.items() if name not in old}
        write_text(PATH, yaml.safe_dump(document, sort_keys=False))
    return sorted(removed | {name.removeprefix("train@") for name in old})


def _md5s(text: str | None, key: str, name: str) -> dict[str, str]:
    """Return path -> md5 of the `outs` or `deps` of all stages, without those that have no md5."""
    try:
        document = _parse(text or "")
        entries = [entry for stage in (document.get("stages") or {}).values() for entry in stage.get(key, [])]
        md5s = {str(entry["path"]): entry.get("md5") for entry in entries}
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise _unreadable(name, error) from error
    return {path: md5 for path, md5 in md5s.items() if md5}


@lru_cache(maxsize=8)  # a review asks ten times for the files of three texts
def _parse(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader) or {}


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(f"{name} cannot be read: {error}", f"Restore it: `git checkout origin/main -- {PATH}`.")
