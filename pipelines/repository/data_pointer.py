"""data.dvc, the pointer to data/ that git keeps."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text

DATA = Path("data")
POINTER = Path("data.dvc")


def read_pointer(root: Path) -> dict[str, Any]:
    """The pointer of the work tree.

    Raises:
        InputError: if there is none, or it does not point to a folder data/.
    """
    path = root / POINTER
    if not path.is_file():
        raise InputError(f"{POINTER} is missing: no rows are recorded for this commit", "Run `make data`.")
    return _parse(path.read_text(encoding="utf-8"), str(POINTER))


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
        md5 = document["outs"][0]["md5"]
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{where} is not a pointer made by `dvc add data`", "Restore it from git.") from error
    if not (isinstance(md5, str) and md5.endswith(".dir") and document["outs"][0].get("path") == str(DATA)):
        raise InputError(f"{where} does not point to a folder {DATA}/", "Restore it from git.")
    return dict(document)


def md5_of(document: dict[str, Any]) -> str:
    """DVC's hash of the folder that a pointer names."""
    return str(document["outs"][0]["md5"])


def ingest_id_of(document: dict[str, Any]) -> str | None:
    """The ingest parameters by which the rows were made, or None where `dvc add` alone made the pointer."""
    recorded = (document.get("meta") or {}).get("ingest")
    return None if recorded is None else str(recorded)


def named_md5s(root: Path) -> set[str]:
    """The hashes that data.dvc names in the work tree and in HEAD; an unreadable pointer names none."""
    texts = []
    if (root / POINTER).is_file():
        texts.append((root / POINTER).read_text(encoding="utf-8", errors="replace"))
    head = subprocess.run(
        ["git", "show", f"HEAD:./{POINTER}"], cwd=root, capture_output=True, text=True, check=False, errors="replace"
    )
    if head.returncode == 0:
        texts.append(head.stdout)
    md5s = set()
    for text in texts:
        try:
            md5s.add(md5_of(_parse(text, str(POINTER))))
        except InputError:
            continue
    return md5s


def write_ingest_id(root: Path, ingest_id: str) -> None:
    """Record in data.dvc by which ingest parameters the rows were made; DVC keeps `meta` but never writes it."""
    document = read_pointer(root)
    if ingest_id_of(document) != ingest_id:
        document["meta"] = {**(document.get("meta") or {}), "ingest": ingest_id}
        write_text(root / POINTER, yaml.safe_dump(document, sort_keys=False))
