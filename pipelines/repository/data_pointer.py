"""data.dvc, the pointer to data/ that git keeps."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.params import Params, load
from pipelines.repository.git import try_git

DATA = Path("data")
POINTER = Path("data.dvc")


def read_pointer(root: Path) -> dict[str, Any]:
    """Read the pointer of the work tree; raise InputError if there is none, or it does not point to data/."""
    if not (root / POINTER).is_file():
        raise InputError(f"{POINTER} is missing: no rows are recorded for this commit", "Run `make data`.")
    return _parse((root / POINTER).read_text(encoding="utf-8", errors="replace"))


def _parse(text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
        output = document["outs"][0]
        valid = output["md5"].endswith(".dir") and output["path"] == str(DATA)
    except (yaml.YAMLError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"{POINTER} is not a pointer made by `dvc add data`", "Restore it from git.") from error
    if not valid:
        raise InputError(f"{POINTER} does not point to a folder {DATA}/", "Restore it from git.")
    return dict(document)


def md5_of(document: dict[str, Any]) -> str:
    """Return DVC's hash of the folder that a pointer names."""
    return str(document["outs"][0]["md5"])


def ingest_id_of(document: dict[str, Any]) -> str | None:
    """Return the id of the ingest parameters that made the rows, or None if `dvc add` alone made the pointer."""
    ingest_id = (document.get("meta") or {}).get("ingest")
    return None if ingest_id is None else str(ingest_id)


def check_ingest(params: Params, root: Path) -> None:
    """Raise InputError if other ingest parameters made the rows of data.dvc.

    A pointer without that record (made by `dvc add` alone) is accepted.
    """
    recorded = ingest_id_of(read_pointer(root))
    if recorded is not None and recorded != params.ingest_id:
        raise InputError(
            f"ingest parameters changed: {POINTER} names rows made with other parameters",
            "Run `make data` and commit data.dvc, or undo the change to params.yaml (ingest, schema).",
        )


def params_of_rows(root: Path) -> Params:
    """Return params.yaml; raise InputError if other ingest parameters made the rows of data.dvc."""
    params = load(root / "params.yaml")
    check_ingest(params, root)
    return params


def named_md5s(root: Path) -> set[str]:
    """Return the hashes that data.dvc names in the work tree and in HEAD; an unreadable pointer names none."""
    texts = [try_git("show", f"HEAD:./{POINTER}", cwd=root)]
    if (root / POINTER).is_file():
        texts.append((root / POINTER).read_text(encoding="utf-8", errors="replace"))
    md5s = set()
    for text in texts:
        with suppress(InputError):
            md5s.add(md5_of(_parse(text or "")))
    return md5s


def write_ingest_id(root: Path, ingest_id: str) -> None:
    """Record the id of the ingest parameters in data.dvc; DVC preserves `meta` but never writes it."""
    document = read_pointer(root)
    if ingest_id_of(document) != ingest_id:
        document["meta"] = {**(document.get("meta") or {}), "ingest": ingest_id}
        write_text(root / POINTER, yaml.safe_dump(document, sort_keys=False))
