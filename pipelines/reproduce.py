"""Verb `repro`: bring the data, prune what params.yaml no longer names, `dvc repro`, and check every output.

`dvc repro` alone does the same for whoever removed no candidate; a removed one leaves its file and its entry behind.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from pipelines import config, lock
from pipelines.errors import InputError, MainlineError, Refused, Unreachable
from pipelines.files import write_bytes, write_text
from pipelines.ingest.pointer import POINTER
from pipelines.progress import Progress

CANDIDATES = Path("models/candidates")
State = Literal["cached", "pulled", "ran", "failed"]


@dataclass(frozen=True)
class Stage:
    """What happened to a stage of dvc.yaml."""

    name: str
    state: State
    seconds: float


class StageFailed(MainlineError):
    """A stage ended with an error; `stages` tells which and what ran before it, `code` is the stage's own."""

    def __init__(self, message: str, remedy: str, stages: list[Stage], code: int) -> None:
        super().__init__(message, remedy)
        self.stages = stages
        self.code = code


def dvc_environment() -> dict[str, str]:
    """The environment in which DVC finds this interpreter as `python` and reports nothing to anybody.

    Half the cores fit a model unless OMP_NUM_THREADS says otherwise: threads of OpenMP spin while they wait for each
    other, and on a machine that does anything else a fit on all cores took up to ten times as long.
    """
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join([here, os.environ.get("PATH", "")])
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 2) // 2))
    own = {"PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200", "OMP_NUM_THREADS": threads}
    return {**os.environ, **own}


def has_remote(root: Path = Path()) -> bool:
    """Whether DVC has a default remote, by its configuration files."""
    for name in ("config", "config.local"):
        path = root / ".dvc" / name
        if path.is_file() and re.search(r"^\s*remote\s*=", path.read_text(encoding="utf-8"), re.MULTILINE):
            return True
    return False


def prune(params: config.Params, root: Path = Path()) -> list[str]:
    """Remove files and dvc.lock entries of candidates that params.yaml no longer has; return their names."""
    gone = {path.stem for path in (root / CANDIDATES).glob("*.onnx")} - set(params.candidates)
    for name in gone:
        (root / CANDIDATES / f"{name}.onnx").unlink()
    text = lock.read(root)
    if text is not None:
        lock.outputs(text)  # refuses what is no dvc.lock
        document = yaml.load(text, yaml.CSafeLoader) or {}
        entries = [name for name in document.get("stages", {}) if name.startswith("train@")]
        stale = [name for name in entries if name.removeprefix("train@") not in params.candidates]
        for name in stale:
            del document["stages"][name]
            gone.add(name.removeprefix("train@"))
        if stale:
            write_text(root / lock.PATH, yaml.safe_dump(document, sort_keys=False))
    return sorted(gone)


def reproduce(params: config.Params, progress: Progress, root: Path = Path()) -> list[Stage]:
    """Run `dvc repro` (with --pull where a remote is set) and check its outputs.

    Raises:
        StageFailed: if a stage says no.
        InputError: if dvc.lock does not fit.
        Unreachable: if the remote cannot be reached.
    """
    prune(params, root)
    stages = _repro(progress, root)
    if _drop_damaged_copies(root):
        again = {stage.name: stage for stage in _repro(progress, root) if stage.state != "cached"}
        stages = [again.get(stage.name, stage) for stage in stages]
    check_outputs(root)
    return stages


def _repro(progress: Progress, root: Path) -> list[Stage]:
    """`dvc repro`; what it makes of data.dvc is undone, since it names whatever rows it finds in data/ there."""
    pointer = root / POINTER
    named = pointer.read_bytes() if pointer.is_file() else None
    command = [sys.executable, "-m", "dvc", "repro"] + (["--pull"] if has_remote(root) else [])
    process = subprocess.Popen(
        command,
        cwd=root,
        env=dvc_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        stages = list(_follow(process.stdout, said, progress))
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if named is not None and pointer.read_bytes() != named:
            write_bytes(pointer, named)
    if code:
        raise _failure(stages, said)
    return stages


_STARTS = re.compile(r"^Running stage '([^']+)'")
_PULLS = re.compile(r"^Pulling data for stage: '([^']+)'")
_CACHED = re.compile(r"^Stage '([^']+)' didn't change, skipping")
_RESTORED = re.compile(r"^Stage '([^']+)' is cached - skipping run")
_ENDS = ("Updating lock file", "Data and pipelines are up to date")
_NOT_PULLED = "Unable to pull data for stage"


def _follow(lines: Iterable[str], said: list[str], progress: Progress) -> Iterator[Stage]:
    """Turn what DVC prints into stages, with the seconds between its lines."""
    now, started = "", time.monotonic()  # the stage that runs or is pulled now
    state: State = "ran"
    with progress.console.status("Reproducing the pipeline") as status:
        for line in lines:
            said.append(line.rstrip("\n"))
            starts, pulls, cached, restored = (p.match(line) for p in (_STARTS, _PULLS, _CACHED, _RESTORED))
            if line.startswith(_NOT_PULLED):
                now = ""
            known = starts or pulls or cached or restored
            seconds = time.monotonic() - started
            if now and (known or line.startswith(_ENDS)):
                progress.done(now, seconds)
                yield Stage(now, state, seconds)
                now = ""
            if begun := starts or pulls:
                now, state = begun.group(1), "ran" if starts else "pulled"
                status.update(f"Reproducing the pipeline: {now}")
            elif cached and not cached.group(1).endswith(".dvc"):
                yield Stage(cached.group(1), "cached", seconds)
            elif restored:
                yield Stage(restored.group(1), "pulled", seconds)
            if known:
                started = time.monotonic()
    failed = any(line.startswith("ERROR: ") for line in said)
    if now and not (failed and state == "pulled"):
        yield Stage(now, "failed" if failed else state, time.monotonic() - started)


def _failure(stages: list[Stage], said: list[str]) -> MainlineError:
    """The clear error for a `dvc repro` that failed: what the stage itself printed, else what DVC says."""
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    failed = next((stage for stage in stages if stage.state == "failed"), None)
    if failed:
        start = max(i for i, line in enumerate(said) if _STARTS.match(line))
        own = [line for line in said[start + 2 :] if line and not line.startswith("ERROR: failed to reproduce")]
        ended = re.search(r"exited with (\d+)$", errors[-1])
        code = int(ended.group(1)) if ended else 0
        if code not in (1, 2, 3) or any(line.startswith("Traceback (") for line in own):
            # No end that the stage chose: it crashed, or somebody killed it.
            own, code = [*own, errors[-1], "Run it again; if it ends like this again, mend the stage."], 2
        return StageFailed("\n".join([f"stage {failed.name} failed:", *own[-41:-1]]), own[-1], stages, code)
    text = "\n".join(errors) or "\n".join(said[-5:])
    if re.search(r"disk I/O error|disk is full|No space left|File too large|Disk quota|Read-only file", text):
        return Unreachable(f"the disk cannot be written: {text}", "Free the disk or mend its rights, and run again.")
    if re.search(
        r"connect|unable to access|credential|endpoint|AccessDenied|Forbidden|NoSuchBucket|timed out",
        text,
        re.IGNORECASE,
    ):
        return Unreachable(
            f"the DVC remote cannot be reached: {text}", "Mend DVC_REMOTE_URL or the network, and run again."
        )
    return InputError(
        f"dvc repro failed: {text}", "Mend dvc.yaml or dvc.lock (`make update` throws generated files away)."
    )


def _drop_damaged_copies(root: Path) -> bool:
    """Remove from DVC's cache what is not what its name says, if an output came out of it; whether there was any."""
    dropped = False
    for name, md5 in lock.outputs(lock.read(root)).items():
        file = root / name
        if md5.endswith(".dir") or not file.is_file() or file_md5(file) == md5:
            continue
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
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
    named = lock.outputs(lock.read(root))
    wrong = []
    for name, md5 in named.items():
        if md5.endswith(".dir"):
            continue
        file = root / name
        if not file.is_file():
            wrong.append(f"{name} is missing")
        elif (found := file_md5(file)) != md5:
            wrong.append(f"{name} is {found}, dvc.lock says {md5}")
    if wrong:
        raise Refused(
            "outputs do not fit dvc.lock:\n" + "\n".join(f"  {line}" for line in wrong),
            "Run `dvc checkout --force` and again.",
        )


def file_md5(path: Path) -> str:
    """The md5 of a file as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb takes no options."""


def run(arguments: argparse.Namespace) -> int:
    """Reproduce the work tree."""
    from pipelines.ingest.data import bring, check_ingest
    from pipelines.ingest.remote import from_environment

    params, progress = config.load(), Progress()
    from_environment(Path())
    check_ingest(params, Path())
    bring(params, Path(), progress.say)
    for stage in reproduce(params, progress):
        print(f"{stage.state:7} {stage.name}")
    return 0
