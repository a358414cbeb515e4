"""Run `dvc repro` and turn what it prints into stages with their states and seconds.

DVC's Python API runs the same stages, but reports neither which were fetched from a cache nor how long each took, and
its log records carry the same English texts.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.cli.errors import InputError, MainlineError, Unreachable
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import python_first
from pipelines.repository.data_pointer import POINTER
from pipelines.repository.dvc import dvc_command
from pipelines.repository.dvc_remote import default_remote

State = Literal["cached", "pulled", "ran", "failed"]


@dataclass(frozen=True)
class Stage:
    """What happened to a stage of dvc.yaml."""

    name: str
    state: State
    seconds: float


class StageFailed(MainlineError):
    """A stage ended with an error: `code` is the stage's own, `stages` are those up to it."""

    def __init__(self, message: str, remedy: str, stages: list[Stage], code: int) -> None:
        super().__init__(message, remedy)
        self.stages = stages
        self.code = code


def run_stages(progress: Progress, root: Path, anew: bool = False) -> list[Stage]:
    """Run `dvc repro`, with --pull where a remote is set.

    DVC rewrites data.dvc to name the rows in data/; this is undone.

    Args:
        anew: run every stage, without the run-cache and without --pull.

    Raises:
        StageFailed: if a stage fails.
        InputError: if DVC refuses dvc.yaml or dvc.lock.
        Unreachable: if the remote or the disk cannot be used.
    """
    pointer = root / POINTER
    named = pointer.read_bytes() if pointer.is_file() else None
    options = ["--force", "--no-run-cache"] if anew else ["--pull"] if default_remote(root) else []
    command = dvc_command("repro", *options)
    process = subprocess.Popen(
        command,
        cwd=root,
        env=python_first(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        stages = list(_follow(process.stdout, printed, progress))
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        if named is not None and pointer.read_bytes() != named:
            write_bytes(pointer, named)
    if code:
        raise _failure(stages, printed)
    return stages


_STARTS = re.compile(r"^Running stage '([^']+)'")
_PULLS = re.compile(r"^Pulling data for stage: '([^']+)'")
_CACHED = re.compile(r"^Stage '([^']+)' didn't change, skipping")
_RESTORED = re.compile(r"^Stage '([^']+)' is cached - skipping run")
_ENDS = ("Updating lock file", "Data and pipelines are up to date")
_NOT_PULLED = "Unable to pull data for stage"


def _follow(lines: Iterable[str], printed: list[str], progress: Progress) -> Iterator[Stage]:
    """Turn what DVC prints into stages, with the seconds between its lines."""
    now, started = "", time.monotonic()  # the stage that runs or is pulled now
    state: State = "ran"
    with progress.console.status("Reproducing the pipeline") as status:
        for line in lines:
            printed.append(line.rstrip("\n"))
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
    failed = any(line.startswith("ERROR: ") for line in printed)
    if now and not (failed and state == "pulled"):
        yield Stage(now, "failed" if failed else state, time.monotonic() - started)


def _failure(stages: list[Stage], printed: list[str]) -> MainlineError:
    """The clear error for a `dvc repro` that failed: what the stage itself printed, else what DVC printed."""
    errors = [line.removeprefix("ERROR: ") for line in printed if line.startswith("ERROR: ")]
    failed = next((stage for stage in stages if stage.state == "failed"), None)
    if failed:
        start = max(i for i, line in enumerate(printed) if _STARTS.match(line))
        own = [line for line in printed[start + 2 :] if line and not line.startswith("ERROR: failed to reproduce")]
        ended = re.search(r"exited with (\d+)$", errors[-1])
        code = int(ended.group(1)) if ended else 0
        if code not in (1, 2, 3) or any(line.startswith("Traceback (") for line in own):
            # The stage did not choose this exit code: it crashed, or was killed.
            own, code = [*own, errors[-1], "Run it again; if it ends like this again, fix the stage."], 2
        return StageFailed("\n".join([f"stage {failed.name} failed:", *own[-41:-1]]), own[-1], stages, code)
    text = "\n".join(errors) or "\n".join(printed[-5:])
    if re.search(r"disk I/O error|disk is full|No space left|File too large|Disk quota|Read-only file", text):
        return Unreachable(
            f"the disk cannot be written: {text}", "Free the disk or fix its permissions, and run again."
        )
    if re.search(
        r"connect|unable to access|credential|endpoint|AccessDenied|Forbidden|NoSuchBucket|timed out",
        text,
        re.IGNORECASE,
    ):
        return Unreachable(
            f"the DVC remote cannot be reached: {text}", "Fix DVC_REMOTE_URL or the network, and run again."
        )
    return InputError(f"dvc repro failed: {text}", "Fix dvc.yaml or dvc.lock (`make update` discards generated files).")
