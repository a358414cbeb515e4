"""Validation and split of ten million rows: the largest memory that either stage takes."""

import os
import shutil
import time

from bench import replicate
from bench.problem import Problem
from bench.results import Result
from bench.timing import Show, peak_memory
from pipelines.config.params import load
from pipelines.config.paths import PREPARED
from testing.repository import quiet_environment

NAME = "validation and split of 10 million rows"
ROWS = 10_000_000
STAGES = ("validate", "split")


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
    environment = {**os.environ, **quiet_environment(), "PYTHONPATH": str(source)}
    del environment["OMP_NUM_THREADS"]
    peaks, notes = [], []
    for stage in STAGES:
        show(f"{stage} of {rows:,} rows")
        started = time.monotonic()
        peaks.append(peak_memory([f"pipelines.training.{stage}"], cwd=folder, env=environment))
        notes.append(f"{stage} {peaks[-1]:.2f} GB, {time.monotonic() - started:.0f} s")
    shutil.rmtree(folder)
    return Result(name=NAME, value=max(peaks), unit="GB", target="value <= 4", note="; ".join(notes))
