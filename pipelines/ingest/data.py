"""Fill data/ with the rows of params.yaml's `ingest`, and point data.dvc to them."""

import importlib
from collections.abc import Callable
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.ingest.month_files import temporary_folder, write_months
from pipelines.ingest.rows import cut_rows
from pipelines.repository.data_pointer import DATA, POINTER, named_md5s, write_ingest_id
from pipelines.repository.dvc import dvc_or_fail, folder_md5, in_cache

Progress = Callable[[str], None]  # called with a line that describes what begins


def fill_data(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into data/ without a change of data.dvc; return a line that describes what was done.

    Raises:
        InputError: if data/ holds files.
    """
    folder = root / DATA
    if _has_files(folder):
        raise InputError(
            "data/ holds files already", "Move data/ away, or run `make data` to replace it by the branch's data."
        )
    with temporary_folder(folder) as new_folder:
        rows = _ingest(params, root, new_folder, progress)
        _replace(folder, new_folder)
    return f"data/ now holds {rows} rows"


def make_data(params: Params, root: Path, progress: Progress) -> str:
    """Ingest into data/ and point data.dvc to it; return a line that describes what was done.

    Raises:
        InputError: if data/ holds rows that exist nowhere else; they are never replaced.
    """
    folder, pointer = root / DATA, root / POINTER
    before = pointer.read_bytes() if pointer.is_file() else None
    with temporary_folder(folder) as new_folder:
        rows = _ingest(params, root, new_folder, progress)
        new_md5 = folder_md5(root, new_folder)
        old_md5 = folder_md5(root, folder) if _has_files(folder) else None
        if old_md5 != new_md5:
            if old_md5 is not None:
                _ensure_cached(root, old_md5)
            _replace(folder, new_folder)
    _dvc_add(root)
    write_ingest_id(root, params.ingest_id)
    next_step = "nothing to do" if pointer.read_bytes() == before else "commit data.dvc"
    return f"data/ holds {rows} rows, and data.dvc names them ({new_md5[:8]}); {next_step}"


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _dvc_add(root: Path) -> None:
    dvc_or_fail(root, "add", str(DATA), remedy="Fix what DVC reports, then run `make data` again.")


def _ensure_cached(root: Path, md5: str) -> None:
    """Save the rows of data/ to DVC's cache if data.dvc names them; refuse if it does not."""
    if in_cache(root, md5):
        return
    if md5 not in named_md5s(root):
        raise InputError(
            f"data/ holds rows that are neither named by data.dvc nor in DVC's cache ({md5[:8]}); "
            "they were not changed",
            "Save them with `dvc add data`, or move data/ away; then run `make data` again.",
        )
    _dvc_add(root)


def _ingest(params: Params, root: Path, folder: Path, progress: Progress) -> int:
    """Write the rows that params.yaml names to an empty folder; return their number."""
    # By name: a repository without the simulator has neither its module nor its class.
    source = importlib.import_module(params.ingest.source)
    rows = source.read_rows(params.ingest, params.table, root, progress)
    return write_months(cut_rows(rows, params.table, params.ingest.until), params.table, folder)


def _replace(folder: Path, new_folder: Path) -> None:
    """Give a complete folder the name of one that is missing, empty, or in the cache."""
    if not folder.is_dir():
        new_folder.rename(folder)
        return
    with temporary_folder(folder) as aside:
        old = folder.rename(aside / folder.name)
        try:
            new_folder.rename(folder)
        except OSError:
            old.rename(folder)
            raise
