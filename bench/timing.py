"""Medians of sides that run in turns, so that other load of the machine affects them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from statistics import median

from threadpoolctl import threadpool_limits as threadpool_limits

RUNS = 5
THREADS = min(2, os.cpu_count() or 1)  # of either side
Show = Callable[[str], None]


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
