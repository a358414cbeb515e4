"""Gates on metrics, critical cases, scoring time and file size. Every gate says what was found, and what was asked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipelines.config.params import Params
from pipelines.metrics.table import METRICS, gain, is_better
from pipelines.model.critical_cases import CriticalResult
from pipelines.model.scorer import Scorer
from pipelines.review.findings import Gate, MetricRow


def words(value: float | None) -> str:
    """A number as people read it: four significant digits, or none behind the point from a thousand on."""
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def floor_gates(rows: tuple[MetricRow, ...], params: Params) -> Iterator[Gate]:
    """The head's value itself against an absolute limit."""
    values = {row.name: row.head for row in rows}
    for name, limit in params.gates.floors.items():
        value = values[name]
        asked = "at most" if METRICS[name].lower_is_better else "at least"
        if value is None:
            yield Gate(f"floor {name}", "floors", False, None, limit, f"{name} is not defined on the test rows")
            continue
        passed = not is_better(name, limit, value)
        yield Gate(
            f"floor {name}", "floors", passed, value, limit, f"{name} is {words(value)}, {asked} {limit:g} is asked"
        )


def regression_gates(rows: tuple[MetricRow, ...], params: Params) -> Iterator[Gate]:
    """The unfavourable end of the interval of the paired difference against the tolerance.

    So a change must show that it is not worse by more than the tolerance: too few rows to tell is a no.
    """
    by_name = {row.name: row for row in rows}
    for name, tolerance in params.gates.regression.items():
        row = by_name[name]
        if row.low is None or row.high is None or row.delta is None:
            why = f"the difference of {name} has no interval on these rows"
            yield Gate(f"regression {name}", "regression", False, None, tolerance, why)
            continue
        worst = min(gain(name, row.low), gain(name, row.high))
        why = (
            f"{name} {words(row.base)} → {words(row.head)}; in the unfavourable case "
            f"{words(abs(worst))} {'worse' if worst < 0 else 'better'} than main, and {tolerance:g} worse is tolerated"
        )
        yield Gate(f"regression {name}", "regression", worst >= -tolerance, worst, -tolerance, why)


def row_seconds(scorer: Scorer, calls: int = 300) -> float:
    """Median seconds of scoring the signature's example row, one call a row."""
    row = scorer.signature.example
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        scorer.score_row(row)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[calls // 10 :])


def file_gates(model: Path, params: Params) -> Iterator[Gate]:
    """The size of the file that would ship."""
    size, limit = model.stat().st_size / 1e6, params.gates.max_model_mb
    yield Gate("model size", "files", size <= limit, size, limit, f"{size:.1f} MB, at most {limit:g} MB is asked")


def time_gates(head: tuple[Path, Path], base: tuple[Path, Path], params: Params) -> Iterator[Gate]:
    """Scoring time of one row relative to the base, on one thread, both measured now and in turns."""
    scorers = [Scorer(model, signature, threads=1) for model, signature in (head, base)]
    # In turns, so that a busy moment of the machine meets both.
    rounds = [[row_seconds(scorer, 100) for scorer in scorers] for _ in range(5)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio, limit = ours / theirs, params.gates.scoring_time_ratio
    against = f"{ours * 1e6:.0f} µs against {theirs * 1e6:.0f} µs on main"
    why = f"a row takes {against}: ratio {ratio:.2f}, at most {limit:g} is asked"
    yield Gate("scoring time", "files", ratio <= limit, ratio, limit, why)


def shown_only(gates: list[Gate]) -> list[Gate]:
    """The same gates without the right to block."""
    return [replace(gate, blocks=False) for gate in gates]


def critical_gates(results: tuple[CriticalResult, ...]) -> list[Gate]:
    """A gate for each case; one that only should hold is shown and does not block."""
    gates = []
    for case in results:
        got = "could not be scored" if case.probability is None else f"got {case.probability:.3f}"
        why = f"{got}, expected {case.expected}. {case.why}"
        gates.append(
            Gate(f"critical: {case.name}", "critical", case.passed, case.probability, None, why, case.level == "must")
        )
    return gates
