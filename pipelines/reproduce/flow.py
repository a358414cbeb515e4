"""Reproduce the work tree: fetch the data, drop removed candidates, run `dvc repro`, check the outputs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError, MainlineError, Refused
from pipelines.cli.files import write_json, write_text
from pipelines.cli.progress import Progress
from pipelines.config.params import Params, load
from pipelines.config.paths import CANDIDATES
from pipelines.repository import dvc_lock
from pipelines.repository.dvc import file_md5, open_dvc
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.reproduce.data import check_ingest, difference, fetch_data
from pipelines.reproduce.dvc_repro import Stage, StageFailed, run_stages


def reproduce_worktree(report: Path | None = None, exact_data: bool = False, anew: bool = False) -> int:
    """Reproduce the work tree.

    Args:
        report: where to write stages, notes and the error, which is then not printed.
        exact_data: whether rows that differ from data.dvc are an error rather than a note.
        anew: whether every stage runs, whatever dvc.lock and the run-cache hold.

    Returns:
        0, or with `report` the exit code of the error in it.
    """
    document: dict[str, Any] = {"stages": [], "notes": [], "error": None}
    try:
        stages = _reproduce(document["notes"], exact_data, anew)
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


def _reproduce(notes: list[str], exact_data: bool, anew: bool) -> list[Stage]:
    params, progress = load(), Progress()
    set_remote_from_environment(Path())
    check_ingest(params, Path())
    source = fetch_data(Path(), progress.print)
    if exact_data and (note := difference(Path(), source)):
        raise InputError(note, "Run `make data` (or move data/ away), then run this again.")
    actual = None
    try:
        stages = reproduce(params, progress, anew=anew)
        # DVC has just hashed data/, and recorded it.
        actual = dvc_lock.data_md5(dvc_lock.read())
    finally:
        if note := difference(Path(), source, actual):
            notes.append(note)
    return stages


def reproduce(params: Params, progress: Progress, root: Path = Path(), anew: bool = False) -> list[Stage]:
    """Run `dvc repro` and check its outputs.

    Raises:
        StageFailed: if a stage fails.
        InputError: if dvc.lock does not fit.
        Unreachable: if the remote cannot be reached.
    """
    prune(params, root)
    stages = run_stages(progress, root, anew)
    if _drop_damaged_copies(root):
        again = {stage.name: stage for stage in run_stages(progress, root, anew) if stage.state != "cached"}
        stages = [again.get(stage.name, stage) for stage in stages]
    check_outputs(root)
    return stages


def prune(params: Params, root: Path = Path()) -> list[str]:
    """Remove files and dvc.lock entries of candidates that params.yaml no longer has; return their names.

    `dvc repro` alone leaves both behind.
    """
    gone = {path.stem for path in (root / CANDIDATES).glob("*.onnx")} - set(params.candidates)
    for name in gone:
        (root / CANDIDATES / f"{name}.onnx").unlink()
    text = dvc_lock.read(root)
    if text is not None:
        dvc_lock.outputs(text)  # refuses what is not a dvc.lock
        document = yaml.load(text, yaml.CSafeLoader) or {}
        entries = [name for name in document.get("stages", {}) if name.startswith("train@")]
        stale = [name for name in entries if name.removeprefix("train@") not in params.candidates]
        for name in stale:
            del document["stages"][name]
            gone.add(name.removeprefix("train@"))
        if stale:
            write_text(root / dvc_lock.PATH, yaml.safe_dump(document, sort_keys=False))
    return sorted(gone)


def _drop_damaged_copies(root: Path) -> bool:
    """Remove damaged files from DVC's cache if an output was copied from one; whether there was any."""
    dropped = False
    for name, md5 in dvc_lock.outputs(dvc_lock.read(root)).items():
        file = root / name
        if md5.endswith(".dir") or not file.is_file() or file_md5(file) == md5:
            continue
        with open_dvc(root) as repo:
            copy = Path(repo.cache.local.oid_to_path(md5))
        if copy.is_file() and file_md5(copy) != md5:
            copy.unlink()
            file.unlink()  # for DVC the state of the file is that of the copy
            dropped = True
    return dropped


def check_outputs(root: Path = Path()) -> None:
    """Check that every single-file output is there with the md5 of dvc.lock.

    Raises:
        Refused: naming the files that are missing or different.
    """
    wrong = []
    for name, md5 in dvc_lock.outputs(dvc_lock.read(root)).items():
        if md5.endswith(".dir"):
            continue
        file = root / name
        if not file.is_file():
            wrong.append(f"{name} is missing")
        elif (actual := file_md5(file)) != md5:
            wrong.append(f"{name} has md5 {actual}, dvc.lock has {md5}")
    if wrong:
        raise Refused(
            "outputs do not fit dvc.lock:\n" + "\n".join(f"  {line}" for line in wrong),
            "Run `dvc checkout --force`, then run this again.",
        )
