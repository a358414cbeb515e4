"""The gates of a review. To add a gate, write a function in a module here, and an entry of `GATES`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipelines.review.findings import GateResult
from pipelines.review.gates.checks import comparable_gate, critical_gate, validation_gate
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.fairness import fairness_gate
from pipelines.review.gates.files import model_size_gate, scoring_time_gate
from pipelines.review.gates.history import history_gate
from pipelines.review.gates.metrics import floors_gate, regression_gate
from pipelines.review.gates.plausible import plausible_gate
from pipelines.review.gates.rows import changed_labels_gate, lost_rows_gate, repeated_rows_gate
from pipelines.review.gates.slices import slices_gate


@dataclass(frozen=True)
class Gate:
    """A gate: one function from the evidence to results.

    Attributes:
        group: what its results are listed under.
        needs_base: skipped if there is no base, or none that the head is comparable with.
        needs_model: skipped if errors of the rows kept the head's model from being trained.
        blocks_in_restore: whether its results block if the head's release id was registered before.
    """

    group: str
    evaluate: Callable[[Evidence], Iterable[GateResult]]
    needs_base: bool = False
    needs_model: bool = True
    blocks_in_restore: bool = False


GATES = (
    Gate("validation", validation_gate, needs_model=False, blocks_in_restore=True),
    Gate("rows", changed_labels_gate, needs_base=True),
    Gate("rows", lost_rows_gate, needs_base=True),
    Gate("rows", repeated_rows_gate),
    Gate("comparison", comparable_gate),
    Gate("plausible", plausible_gate),
    Gate("floors", floors_gate),
    Gate("regression", regression_gate, needs_base=True),
    Gate("history", history_gate),
    Gate("slices", slices_gate),
    Gate("fairness", fairness_gate),
    Gate("critical", critical_gate, blocks_in_restore=True),
    Gate("files", model_size_gate, blocks_in_restore=True),
    Gate("files", scoring_time_gate, needs_base=True, blocks_in_restore=True),
)


def evaluate(evidence: Evidence, gates: Sequence[Gate] = GATES) -> tuple[GateResult, ...]:
    """Evaluate gates on the evidence of a review, in their order."""
    results: list[GateResult] = []
    warn = evidence.params.gates.when_unclear == "warn"
    for gate in gates:
        if (gate.needs_model and evidence.head is None) or (gate.needs_base and evidence.base is None):
            continue
        may_block = evidence.kind != "restore" or gate.blocks_in_restore
        for result in gate.evaluate(evidence):
            blocks = result.blocks and may_block
            warns = blocks and not result.evaluated and warn
            results.append(replace(result, group=gate.group, blocks=blocks and not warns, warns=warns))
    return tuple(results)
