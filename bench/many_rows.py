"""Validation and split of ten million rows: the largest memory that either stage takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench import replicate
from bench.problem import Problem
from bench.results import Result
from bench.timing import Show
from pipelines.config.params import load
from pipelines.config.paths import PREPARED
from testing.repository import quiet_environment

NAME = "validation and split of 10 million rows"
ROWS = 10_000_000
STAGES = ("validate", "split")
# A process inherits the peak memory of its parent, so a small process starts the stage.
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measure(problem: Problem, show: Show) -> Result:
    """Run both stages once; memory varies less than time."""
    source = problem.default.path
    params = load(source / "params.yaml")
    folder = problem.folder / "many-rows"
    folder.mkdir()
    shutil.copy2(source / "params.yaml", folder)
    small = sum(replicate.rows_of(path) for path in (source / PREPARED).glob("*.parquet"))
    rows = replicate.write(source / PREPARED, folder / PREPARED, -(-ROWS // small), params.table.key, show)
    assert rows >= ROWS
    peaks, notes = [], []
    for stage in STAGES:
        show(f"{stage} of {rows:,} rows")
        peak, seconds = _run(folder, source, stage)
        peaks.append(peak)
        notes.append(f"{stage} {peak:.2f} GB, {seconds:.0f} s")
    shutil.rmtree(folder)
    return Result(name=NAME, value=max(peaks), unit="GB", target="value <= 4", note="; ".join(notes))


def _run(folder: Path, sources: Path, stage: str) -> tuple[float, float]:
    """Largest resident memory (GB) and seconds of a stage that must succeed."""
    environment = {**os.environ, **quiet_environment(), "PYTHONPATH": str(sources)}
    del environment["OMP_NUM_THREADS"]
    started = time.monotonic()
    command = [sys.executable, "-m", f"pipelines.training.{stage}"]
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{stage} ended with {done.returncode}:\n{done.stderr}")
    kilobytes = int(done.stdout) / (1024 if sys.platform == "darwin" else 1)
    return kilobytes * 1024 / 1e9, time.monotonic() - started
