"""Gates on the model file: its size, and the time that it takes for a row."""

import statistics
import time

from pipelines.config.paths import SIGNATURE
from pipelines.model.scorer import Scorer
from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence

ROUNDS, CALLS = 5, 100


def model_size_gate(evidence: Evidence) -> list[GateResult]:
    """One result, in megabytes of a million bytes."""
    assert evidence.head is not None
    size, limit = evidence.head.stat().st_size / 1e6, evidence.params.gates.max_model_mb
    return [GateResult("model size", size <= limit, size, limit, f"{size:.1f} MB; maximum is {limit:g} MB")]


def scoring_time_gate(evidence: Evidence) -> list[GateResult]:
    """One result: the head's time of a row over the base's, both measured now, on one thread."""
    assert evidence.head is not None and evidence.base is not None
    scorers = [Scorer(model, model.with_name(SIGNATURE.name), threads=1) for model in (evidence.head, evidence.base)]
    # In turns, so that a busy moment of the machine slows both.
    rounds = [[row_seconds(scorer) for scorer in scorers] for _ in range(ROUNDS)]
    head, base = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio, limit = head / base, evidence.params.gates.scoring_time_ratio
    why = f"a row takes {head * 1e6:.0f} µs (base {base * 1e6:.0f} µs), ratio {ratio:.2f}; maximum is {limit:g}"
    return [GateResult("scoring time", ratio <= limit, ratio, limit, why)]


def row_seconds(scorer: Scorer) -> float:
    """Median seconds of scoring the signature's example row alone; the first calls only warm up."""
    row = scorer.signature.example
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        scorer.score_row(row)
        times.append(time.perf_counter() - started)
    return statistics.median(times[CALLS // 10 :])
