"""Gate `plausible`: the head is not too good to be true, unless a person confirms it."""

import math
from collections.abc import Iterator
from dataclasses import replace

from pipelines.config.metrics import METRICS, gain
from pipelines.pages.numbers import plain_number
from pipelines.review.findings import GateResult
from pipelines.review.gates.evidence import Evidence
from pipelines.tables.leak_scores import Score

MOST = 0.5  # of the importance of all inputs


def plausible_gate(evidence: Evidence) -> Iterator[GateResult]:
    """Results on the gain, on the importance of each new input, and on the leak scores.

    A reason in `gates.allow_gain` that the base's params.yaml never had lets them pass.
    """
    for result in (*_gain(evidence), *_importance(evidence), *_leaks(evidence)):
        if result.passed:
            yield result
        elif evidence.allowed_gain:
            yield replace(result, passed=True, why=f"{result.why}; confirmed: {evidence.allowed_gain}")
        else:
            yield replace(
                result, why=f"{result.why}; look for a leak, or give a new reason in gates.allow_gain of params.yaml"
            )


def _gain(evidence: Evidence) -> Iterator[GateResult]:
    """The headline metric, as the share of the base's error that is gone; the cautious bound of the 95 % CI counts."""
    gates = evidence.params.gates
    row = next((row for row in evidence.metrics if row.name == gates.headline), None)
    if row is None or row.base is None or row.low is None or row.high is None:
        return
    error = row.base if METRICS[row.name].lower_is_better else 1 - row.base
    gained = min(gain(row.name, row.low), gain(row.name, row.high))
    share = gained / error if error > 0 else 0.0
    shown = f"at least {share:.0%} of what the base lacked to a perfect value" if share > 0 else "no gain"
    why = (
        f"{row.name} went from {plain_number(row.base)} to {plain_number(row.head)}; the 95 % CI shows {shown}; "
        f"gates.plausible_gain is {gates.plausible_gain:.0%}"
    )
    yield GateResult("plausible gain", share <= gates.plausible_gain, share, gates.plausible_gain, why)


def _importance(evidence: Evidence) -> Iterator[GateResult]:
    """Each input that the base does not have: its share of the importance of all inputs."""
    total = sum(max(loss, 0.0) for loss in evidence.importance.values())
    for name in evidence.new_inputs:
        share = max(evidence.importance.get(name, 0.0), 0.0) / total if total else 0.0
        why = f"the new input {name} has {share:.0%} of the importance of all inputs; maximum is {MOST:.0%}"
        yield GateResult(f"plausible input {name}", share <= MOST, share, MOST, why)


def _leaks(evidence: Evidence) -> Iterator[GateResult]:
    """How well small models predict the target, compared with the base's inputs."""
    scores, limit = evidence.leak_scores, evidence.params.validation.leak_score
    if scores is None:
        return
    measure = "an AUC" if evidence.params.task == "classification" else "an R2"
    jump = evidence.params.gates.plausible_gain

    def describe(what: str, score: Score, base: Score | None = None) -> str:
        compared = f" (base {base.value:.3f})" if base else ""
        return f"{what} a small model predicts the target with {measure} of {score.value:.3f}{compared}"

    before, now = scores.together
    leaks = now.value >= limit and (before is None or _jumped(before, now, jump))
    why = f"{describe('from all inputs', now, before)}; validation.leak_score is {limit:g}"
    yield GateResult("leak all inputs", not leaks, now.value, limit, why)
    if scores.new:
        why = f"{describe('from the new inputs', scores.new)}; validation.leak_score is {limit:g}"
        yield GateResult("leak new inputs", scores.new.value < limit, scores.new.value, limit, why)
    for name, (base, head) in scores.alone.items():
        if _jumped(base, head, jump):
            why = f"{describe(f'from {name}', head, base)}; gates.plausible_gain is {jump:.0%}"
            yield GateResult(f"leak {name}", False, head.value, None, why)


def _jumped(base: Score, head: Score, limit: float) -> bool:
    """Whether more than this share of what the base's score lacks is gone, by more than three standard errors."""
    gained = head.value - base.value
    return gained > limit * (1 - base.value) and gained > 3 * math.hypot(base.error, head.error)
