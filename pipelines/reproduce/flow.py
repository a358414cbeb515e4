"""Reproduce the work tree: fetch the data, remove old candidates, run `dvc repro`, check the outputs."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError, MainlineError, Refused
from pipelines.cli.files import write_json
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock
from pipelines.repository.data_pointer import params_of_rows
from pipelines.repository.dvc import file_md5, open_dvc
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.reproduce.data import difference, fetch_data
from pipelines.reproduce.dvc_repro import Stage, StageFailed, run_stages


def reproduce_worktree(
    report: Path | None = None, exact_data: bool = False, anew: bool = False, only: str | None = None
) -> int:
    """Reproduce the work tree.

    Args:
        report: where to write stages, notes and the error, which is then not printed.
        exact_data: whether rows that differ from data.dvc are an error rather than a note.
        anew: whether every stage runs, whatever dvc.lock and the run-cache hold.
        only: only this stage and those that it needs; the outputs of others may be missing.

    Returns:
        0, or with `report` the exit code of the error in it.
    """
    document: dict[str, Any] = {"stages": [], "notes": [], "error": None}
    try:
        stages = _reproduce(document["notes"], exact_data, anew, only)
    except MainlineError as error:
        if report is None:
            raise
        stages = error.stages if isinstance(error, StageFailed) else []
        document["error"] = {"code": error.code, "message": str(error), "remedy": error.remedy}
    document["stages"] = [asdict(stage) for stage in stages]
    if report is None:
        for stage in stages:
            print(f"{stage.state:7} {stage.name}")
        return 0
    write_json(report, document)
    return int(document["error"]["code"]) if document["error"] else 0


def _reproduce(notes: list[str], exact_data: bool, anew: bool, only: str | None) -> list[Stage]:
    """Reproduce the work tree and append to `notes`, also if a stage fails."""
    progress = Progress()
    set_remote_from_environment(Path())
    params = params_of_rows(Path())
    source = fetch_data(Path(), progress.print)
    if exact_data and (note := difference(Path(), source)):
        raise InputError(note, "Run `make data` (or move data/ away), then run this again.")
    if only:
        return run_stages(progress, anew, only)
    dvc_lock.prune(params.candidates)
    data_md5 = None
    try:
        stages = run_stages(progress, anew)
        if _remove_damaged_copies():
            rerun = {stage.name: stage for stage in run_stages(progress, anew) if stage.state != "cached"}
            stages = [rerun.get(stage.name, stage) for stage in stages]
        check_outputs()
        # DVC has just hashed data/, and recorded it.
        data_md5 = dvc_lock.data_md5(dvc_lock.read())
    finally:
        if note := difference(Path(), source, data_md5):
            notes.append(note)
    return stages


def _remove_damaged_copies() -> bool:
    """Remove outputs that were copied from damaged files of DVC's cache, and those files; return whether any was."""
    removed = False
    for path, md5, actual in _list_wrong_outputs():
        with open_dvc(Path()) as repo:
            copy = Path(repo.cache.local.oid_to_path(md5))
        if actual and copy.is_file() and file_md5(copy) != md5:
            copy.unlink()
            path.unlink()  # DVC would not notice that it differs from dvc.lock
            removed = True
    return removed


def check_outputs() -> None:
    """Check that every output that is a file has the md5 of dvc.lock; raise Refused with the names of all others."""
    wrong = [
        f"  {path} has md5 {actual}, dvc.lock has {md5}" if actual else f"  {path} is missing"
        for path, md5, actual in _list_wrong_outputs()
    ]
    if wrong:
        raise Refused(
            "outputs do not fit dvc.lock:\n" + "\n".join(wrong), "Run `dvc checkout --force`, then run this again."
        )


def _list_wrong_outputs() -> Iterator[tuple[Path, str, str | None]]:
    """Yield path, md5 of dvc.lock and actual md5 (None if missing) of output files that differ from dvc.lock."""
    for name, md5 in dvc_lock.outputs(dvc_lock.read()).items():
        path = Path(name)
        actual = file_md5(path) if path.is_file() else None
        if not md5.endswith(".dir") and actual != md5:
            yield path, md5, actual
