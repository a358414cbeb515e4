"""Run `dvc repro` and turn what it prints into stages with their states and seconds.

DVC's Python API runs the same stages, but reports neither which were fetched from a cache nor how long each took, and
its log records carry the same English texts.
"""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.cli.errors import InputError, MainlineError, Unreachable, unwritable_disk
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import python_first
from pipelines.repository.data_pointer import POINTER
from pipelines.repository.dvc import DVC, busy_error
from pipelines.repository.dvc_remote import default_remote

State = Literal["cached", "pulled", "ran", "failed"]
_STAGE_LINES: tuple[tuple[re.Pattern[str], State], ...] = (
    (re.compile(r"Running stage '([^']+)'"), "ran"),
    (re.compile(r"Pulling data for stage: '([^']+)'"), "pulled"),
    (re.compile(r"Stage '([^']+)' didn't change, skipping"), "cached"),
    (re.compile(r"Stage '([^']+)' is cached - skipping run"), "pulled"),
)
_NOT_PULLED = "Unable to pull data for stage"  # DVC then runs the stage
_END_LINES = (_NOT_PULLED, "Updating lock file", "Data and pipelines are up to date")
_DISK = re.compile(r"disk I/O error|disk is full|No space left|File too large|Disk quota|Read-only file")
_NETWORK = re.compile(
    r"connect|unable to access|credential|endpoint|AccessDenied|Forbidden|NoSuchBucket|timed out", re.IGNORECASE
)
_MAX_LINES = 40  # of a failed stage, in its error


@dataclass(frozen=True)
class Stage:
    """What happened to a stage of dvc.yaml."""

    name: str
    state: State
    seconds: float


class StageFailed(MainlineError):
    """A stage ended with an error: `code` is the stage's own, `stages` are those up to it."""

    def __init__(self, message: str, remedy: str, stages: list[Stage], code: int) -> None:
        super().__init__(message, remedy, code)
        self.stages = stages


def run_stages(progress: Progress, anew: bool = False, only: str | None = None) -> list[Stage]:
    """Run `dvc repro`, with --pull if there is a remote.

    DVC rewrites data.dvc to name the rows in data/; this is undone.

    Args:
        anew: run every stage, without the run-cache and without --pull.
        only: only this stage and those that it needs, once no other process holds DVC's lock.

    Raises:
        StageFailed: if a stage fails.
        InputError: if DVC refuses dvc.yaml or dvc.lock.
        Unreachable: if the remote or the disk cannot be used.
    """
    pointer = POINTER.read_bytes() if POINTER.is_file() else None
    options = ["--force", "--no-run-cache"] if anew else ["--pull"] if default_remote() else []
    command = [*DVC, "--wait-for-lock", "repro", *options, only] if only else [*DVC, "repro", *options]
    pipe, nothing, output = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
    process = subprocess.Popen(command, env=python_first(), stdin=nothing, stdout=pipe, stderr=output, text=True)
    assert process.stdout is not None
    printed: list[str] = []
    try:
        stages = list(_read_stages(process.stdout, printed, progress))
        code = process.wait()
    finally:
        process.terminate()
        process.wait()
        if pointer is not None and POINTER.read_bytes() != pointer:
            write_bytes(POINTER, pointer)
    if code:
        raise _error_of(stages, printed)
    return stages


def _read_stages(lines: Iterable[str], printed: list[str], progress: Progress) -> Iterator[Stage]:
    """Turn what DVC prints into stages, and append its lines to `printed`.

    A stage's seconds are those until DVC prints its next line.
    """
    name, started = "", time.monotonic()
    state: State = "ran"
    with progress.console.status("Reproducing the pipeline") as status:
        for line in lines:
            printed.append(line.rstrip("\n"))
            starting = [(match[1], new_state) for pattern, new_state in _STAGE_LINES if (match := pattern.match(line))]
            if not starting and not line.startswith(_END_LINES):
                continue
            if name and not line.startswith(_NOT_PULLED):
                seconds = time.monotonic() - started
                if state != "cached":
                    progress.done(name, seconds)
                yield Stage(name, state, seconds)
            name, started = "", time.monotonic()
            if starting and not starting[0][0].endswith(".dvc"):
                name, state = starting[0]
                status.update(f"Reproducing the pipeline: {name}")
    failed = any(line.startswith("ERROR: ") for line in printed)
    if name and not (failed and state == "pulled"):
        yield Stage(name, "failed" if failed and state == "ran" else state, time.monotonic() - started)


def _error_of(stages: list[Stage], printed: list[str]) -> MainlineError:
    """Return the error of a `dvc repro` that failed: what the failed stage printed, else what DVC printed."""
    errors = [line.removeprefix("ERROR: ") for line in printed if line.startswith("ERROR: ")]
    if stages and stages[-1].state == "failed":
        start = max(i for i, line in enumerate(printed) if line.startswith("Running stage"))
        lines = [line for line in printed[start + 2 :] if line and not line.startswith("ERROR: failed to reproduce")]
        exit_code = re.search(r"exited with (\d+)$", errors[-1])
        code = int(exit_code[1]) if exit_code else 0
        if code not in (1, 2, 3) or any(line.startswith("Traceback (") for line in lines):
            # The stage did not choose this exit code: it crashed, or was killed.
            lines, code = [*lines, errors[-1], "Run it again; if it ends like this again, fix the stage."], 2
        *message, remedy = [f"stage {stages[-1].name} failed:", *lines[-_MAX_LINES - 1 :]]
        return StageFailed("\n".join(message), remedy, stages, code)
    text = "\n".join(errors) or "\n".join(printed[-5:])
    if busy := busy_error("\n".join(printed), Path()):
        return busy
    if _DISK.search(text):
        return unwritable_disk(f"the disk cannot be written: {text}")
    if _NETWORK.search(text):
        return Unreachable(
            f"the DVC remote cannot be reached: {text}", "Fix DVC_REMOTE_URL or the network, and run again."
        )
    return InputError(f"dvc repro failed: {text}", "Fix dvc.yaml or dvc.lock (`make update` discards generated files).")
