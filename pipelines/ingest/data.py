"""Fill data/ with the rows of params.yaml's `ingest`, and point data.dvc to them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.ingest.month_files import Rows, has_files, temporary_folder, write_months
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

Progress = Callable[[str], None]  # called with a line that says what begins


def fill_data(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into data/, which must be empty or missing, and leave data.dvc as it is.

    Returns:
        A line that says what was done.

    Raises:
        InputError: if data/ holds files, or a source is invalid.
        Unreachable: if a source or the disk cannot be used.
    """
    folder = root / DATA
    if has_files(folder):
        raise InputError(
            "data/ holds files already", "Move data/ away, or run `make data` to replace it by the branch's data."
        )
    with temporary_folder(folder) as new_folder:
        rows = _ingest(params, root, new_folder, progress)
        _move_into_place(new_folder, folder)
    return f"data/ now holds {rows} rows"


def make_data(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into data/ and point data.dvc to it. Rows that exist only in data/ are never replaced.

    Returns:
        A line that says what was done.

    Raises:
        InputError: if data/ holds rows that exist nowhere else, or a source is invalid.
        Unreachable: if a source or the disk cannot be used.
    """
    folder = root / DATA
    with temporary_folder(folder) as new_folder:
        rows = _ingest(params, root, new_folder, progress)
        new_md5 = folder_md5(root, new_folder)
        if not has_files(folder):
            _move_into_place(new_folder, folder)
        else:
            old_md5 = folder_md5(root, folder)
            if old_md5 == new_md5:
                return _point_to_unchanged(params, root, new_md5)
            _ensure_cached(root, old_md5)
            with temporary_folder(folder) as aside:
                _replace(new_folder, folder, aside)
    _point(params, root)
    return f"data/ now holds {rows} rows, and data.dvc names them ({_short(new_md5)}); commit data.dvc"


def _point_to_unchanged(params: Params, root: Path, md5: str) -> str:
    """Point data.dvc to a data/ that ingest did not change, unless it does already; return what was done."""
    message = f"data/ already holds the rows that ingest gives ({_short(md5)})"
    if (root / POINTER).is_file():
        document = read_pointer(root)
        if md5_of(document) == md5 and ingest_id_of(document) == params.ingest_id:
            return f"{message}, and data.dvc names them; nothing to do"
    _point(params, root)
    return f"{message}; data.dvc now names them, commit it"


def _point(params: Params, root: Path) -> None:
    _dvc_add(root)
    write_ingest_id(root, params.ingest_id)


def _dvc_add(root: Path) -> None:
    dvc_or_fail(root, "add", str(DATA), remedy="Fix what DVC reports, then run `make data` again.")


def _ensure_cached(root: Path, md5: str) -> None:
    """Save the rows of data/ to DVC's cache if data.dvc names them; refuse if nothing does."""
    if in_cache(root, md5):
        return
    if md5 not in named_md5s(root):
        raise InputError(
            f"data/ holds rows that are neither named by data.dvc nor in DVC's cache ({_short(md5)}); "
            "they were not changed",
            "Save them with `dvc add data`, or move data/ away; then run `make data` again.",
        )
    _dvc_add(root)


def _ingest(params: Params, root: Path, folder: Path, progress: Progress) -> int:
    """Write the rows that params.yaml names to an empty folder; return their number."""
    # By name: a repository without the simulator has neither its module nor its class.
    source = importlib.import_module(params.ingest.source)
    rows: Rows = source.read_rows(params.ingest, params.table, root, progress)
    return write_months(rows, params.table, folder)


def _move_into_place(new_folder: Path, folder: Path) -> None:
    """Rename a complete folder to one that is missing or empty."""
    if folder.is_dir():
        folder.rmdir()
    new_folder.rename(folder)


def _replace(new_folder: Path, folder: Path, aside: Path) -> None:
    """Replace a folder, whose rows are in the cache, by a complete one."""
    old = aside / folder.name
    folder.rename(old)
    try:
        new_folder.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _short(md5: str) -> str:
    return md5[:8]
