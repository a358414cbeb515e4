"""What is in data/, and how it gets there: by ingest, or as data.dvc names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.config import Params, Simulator
from pipelines.errors import InputError, Unreachable
from pipelines.ingest import pointer, store
from pipelines.ingest.pointer import DATA, POINTER
from pipelines.ingest.store import Rows

Progress = Callable[[str], None]  # is told what begins now, in one line


@dataclass(frozen=True)
class Brought:
    """How data/ came to be there, and whether it is what data.dvc names."""

    source: Literal["present", "checked out", "pulled", "made"]
    differs: bool
    actual_md5: str
    named_md5: str
    note: str


def ingest_id(params: Params) -> str:
    """16 hexadecimal digits that change with all of params.yaml that decides what ingest writes."""
    table = params.table
    document = {
        "ingest": params.ingest.model_dump(mode="json"),
        "types": {name: column.type for name, column in table.columns.items()},
        "event_time": table.event_time,
        "key": table.key,
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def check_ingest(params: Params, root: Path) -> None:
    """Refuse ingest parameters that are not those by which data.dvc's rows were made.

    A pointer without that record (made by `dvc add` alone) is taken as it is.

    Raises:
        InputError: with the remedy `make data`.
    """
    recorded = (pointer.read(root).get("meta") or {}).get("ingest")
    if recorded is not None and recorded != ingest_id(params):
        raise InputError(
            f"ingest parameters changed: {POINTER} names rows made by other ones",
            "Run `make data` and commit data.dvc, or undo the change to params.yaml (ingest, schema).",
        )


def bring(params: Params, root: Path, progress: Progress) -> Brought:
    """Have the rows that data.dvc names in data/: as they are, from the cache, from the remote, or ingested again.

    What is in data/ is never replaced; that it differs is said in the note.

    Raises:
        InputError: without data.dvc.
        Unreachable: if the remote, or a source of the rows, cannot be reached.
    """
    named = pointer.md5_of(pointer.read(root))
    folder = root / DATA
    if store.is_store(folder):
        return _brought("present", root, named)
    if pointer.in_cache(root, named):
        source: Literal["checked out", "pulled"] = "checked out"
    elif remote := pointer.default_remote(root):
        progress(f"pulling data/ from the remote {remote}")
        pointer.dvc_or_fail(
            root,
            "fetch",
            str(POINTER),
            remedy="Check the remote, its address and rights, and run again; or `make data`.",
        )
        if not pointer.in_cache(root, named):
            raise Unreachable(
                f"the remote {remote} does not hold all rows that data.dvc names ({_short(named)})",
                "Push them (`dvc push data.dvc`) from where they were made; or `make data`, and commit data.dvc.",
            )
        source = "pulled"
    else:
        return _made(params, root, named, progress)
    pointer.dvc_or_fail(root, "checkout", str(POINTER), remedy="Mend what DVC says, and run again.")
    return _brought(source, root, named)


def _made(params: Params, root: Path, named: str, progress: Progress) -> Brought:
    """Ingest into a data/ that is not there, and let the cache have it if it is what data.dvc names."""
    with store.temporary_folder(root / DATA) as made:
        _ingest(params, root, made, progress)
        _put(made, root / DATA)
    brought = _brought("made", root, named)
    if not brought.differs:
        pointer.dvc_or_fail(root, "commit", "--force", str(POINTER), remedy="Mend what DVC says, and run again.")
    return brought


def _brought(source: Literal["present", "checked out", "pulled", "made"], root: Path, named: str) -> Brought:
    actual = pointer.folder_md5(root, root / DATA)
    if actual == named:
        how = {
            "present": "is there",
            "checked out": "came from the cache",
            "pulled": "was pulled",
            "made": "was ingested",
        }
        return Brought(source, False, actual, named, f"data/ {how[source]} as data.dvc names it")
    note = f"data/ is not what data.dvc names ({_short(actual)} instead of {_short(named)})"
    if source == "made":
        note += ": these parameters and locks give other bytes here. `make data` makes it the data of this branch"
    else:
        note += " and was left as it is. `dvc add data` makes it the data of this branch"
        note += ", `dvc checkout --force data.dvc` discards it"
    return Brought(source, True, actual, named, note)


def make(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into data/ and point data.dvc to it.

    Rows that are in data/ and nowhere else are never replaced.

    Returns:
        What was done, in a line.

    Raises:
        InputError: if data/ holds rows that nothing else holds, or a source is at fault.
        Unreachable: if a source or the disk is.
    """
    folder = root / DATA
    with store.temporary_folder(folder) as made:
        rows = _ingest(params, root, made, progress)
        new = pointer.folder_md5(root, made)
        if not store.is_store(folder):
            _put(made, folder)
        else:
            old = pointer.folder_md5(root, folder)
            if old == new:
                return _already(params, root, new)
            _keep(root, old)
            with store.temporary_folder(folder) as aside:
                _swap(made, folder, aside)
    _point(params, root)
    return f"data/ holds {rows} rows now, and data.dvc names them ({_short(new)}); commit data.dvc"


def _already(params: Params, root: Path, md5: str) -> str:
    said = f"data/ already is what ingest gives ({_short(md5)})"
    if (root / POINTER).is_file():
        document = pointer.read(root)
        if pointer.md5_of(document) == md5 and (document.get("meta") or {}).get("ingest") == ingest_id(params):
            return f"{said}, and data.dvc names it; nothing to do"
    _point(params, root)
    return f"{said}; data.dvc names it now, commit it"


def _point(params: Params, root: Path) -> None:
    pointer.dvc_or_fail(root, "add", str(DATA), remedy="Mend what DVC says, and run `make data` again.")
    pointer.write_meta(root, ingest_id(params))


def _keep(root: Path, old: str) -> None:
    """See to it that the rows in data/ survive in the cache, if they are anybody's; else refuse."""
    if pointer.in_cache(root, old):
        return
    if old not in pointer.named(root):
        raise InputError(
            f"data/ holds rows that neither data.dvc names nor DVC's cache has ({_short(old)}); they stay as they are",
            "Keep them by `dvc add data`, or move data/ away, and run `make data` again.",
        )
    pointer.dvc_or_fail(root, "add", str(DATA), remedy="Mend what DVC says, and run `make data` again.")


def _ingest(params: Params, root: Path, folder: Path, progress: Progress) -> int:
    """Write the rows that params.yaml names into an empty folder; their number."""
    if isinstance(params.ingest, Simulator):
        from pipelines.ingest.simulator import simulate

        progress(f"simulating {params.ingest.payments} payments")
        table = simulate(params.ingest)
        rows = Rows(table.schema, [table])
    else:
        from pipelines.ingest import files

        progress(f"reading {', '.join(params.ingest.paths)}")
        rows = files.read(params.ingest, params.table, root)
    return store.write(rows, params.table, folder)


def _put(made: Path, folder: Path) -> None:
    """Let a finished folder take the place of none, or of an empty one."""
    if folder.is_dir():
        folder.rmdir()
    made.rename(folder)


def _swap(made: Path, folder: Path, aside: Path) -> None:
    """Put a finished folder in the place of another, whose rows the cache has."""
    old = aside / folder.name
    folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _short(md5: str) -> str:
    return md5[:8]
