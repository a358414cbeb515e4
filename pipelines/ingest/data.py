"""What is in data/, and how it gets there: by ingest, or as data.dvc names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Simulator
from pipelines.config.params import Params
from pipelines.ingest import store
from pipelines.ingest.store import Rows
from pipelines.repository.data_pointer import (
    DATA,
    POINTER,
    ingest_id_of,
    md5_of,
    named_md5s,
    read_pointer,
    write_ingest_id,
)
from pipelines.repository.dvc import dvc_or_fail, folder_md5, in_cache

Progress = Callable[[str], None]  # is told what begins now, in one line


def fill(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into a data/ that is empty or not there, and leave data.dvc as it is.

    Returns:
        What was done, in a line.

    Raises:
        InputError: if data/ holds anything, or a source is invalid.
        Unreachable: if a source or the disk cannot be used.
    """
    folder = root / DATA
    if store.is_store(folder):
        raise InputError(
            "data/ holds rows already", "Move data/ away, or run `make data` to make it the branch's data."
        )
    with store.temporary_folder(folder) as made:
        rows = _ingest(params, root, made, progress)
        _put(made, folder)
    return f"data/ holds {rows} rows now"


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
        new = folder_md5(root, made)
        if not store.is_store(folder):
            _put(made, folder)
        else:
            old = folder_md5(root, folder)
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
        document = read_pointer(root)
        if md5_of(document) == md5 and ingest_id_of(document) == params.ingest_id:
            return f"{said}, and data.dvc names it; nothing to do"
    _point(params, root)
    return f"{said}; data.dvc names it now, commit it"


def _point(params: Params, root: Path) -> None:
    dvc_or_fail(root, "add", str(DATA), remedy="Mend what DVC says, and run `make data` again.")
    write_ingest_id(root, params.ingest_id)


def _keep(root: Path, old: str) -> None:
    """See to it that the rows in data/ survive in the cache, if they are anybody's; else refuse."""
    if in_cache(root, old):
        return
    if old not in named_md5s(root):
        raise InputError(
            f"data/ holds rows that neither data.dvc names nor DVC's cache has ({_short(old)}); they stay as they are",
            "Keep them by `dvc add data`, or move data/ away, and run `make data` again.",
        )
    dvc_or_fail(root, "add", str(DATA), remedy="Mend what DVC says, and run `make data` again.")


def _ingest(params: Params, root: Path, folder: Path, progress: Progress) -> int:
    """Write the rows that params.yaml names into an empty folder; their number."""
    if isinstance(params.ingest, Simulator):
        from examples.fraud.simulator import simulate

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
