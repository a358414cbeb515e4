"""Medians of sides that run in turns, so that other load of the machine affects them alike."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from threadpoolctl import threadpool_limits as threadpool_limits

RUNS = 5
THREADS = min(2, os.cpu_count() or 1)  # of either side
Show = Callable[[str], None]
# A process inherits the peak memory of its parent, so a small process starts the one that is measured.
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def in_turns(sides: Mapping[str, Callable[[], object]], show: Show, runs: int = RUNS) -> dict[str, float]:
    """Run the sides A B A B ...

    Returns:
        side -> median of its seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs):
        for name, side in sides.items():
            show(f"{name}, run {run + 1} of {runs}")
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in seconds.items()}


def peak_memory(module: Sequence[str], **options: Any) -> float:
    """Return the peak resident memory (GB) of a Python module with arguments, run in a process that must succeed."""
    command = [sys.executable, "-c", _PEAK, sys.executable, "-m", *module]
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{module[0]} ended with {done.returncode}:\n{done.stderr}")
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e9
