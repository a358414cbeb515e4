"""The findings of a review: the one object that the verdict, review.json, review.md and review.html are made from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.config.selection import Value
from pipelines.model.critical_cases import CriticalResult
from pipelines.pages.charts import Plot

# Settings that are no rules, and decide what the rules are applied to.
WHAT_IS_JUDGED = ("model_name", "task", "schema.", "split.", "selection.threshold")
Kind = Literal["comparison", "restore", "new model"]
# What only the page and the comment show.
_NOT_IN_JSON = (
    "task", "headline", "explanation", "left_out", "slice_metric", "data", "importance", "plots", "threshold", "value"
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """The base or the head of a review.

    Attributes:
        model: md5 of the scored file, None where there is no model.
        locked_model: md5 of the model in the commit's dvc.lock.
        source: where the model was fetched from.
    """

    ref: str
    sha: str | None
    model: str | None
    locked_model: str | None = None
    source: str = ""


@dataclass(frozen=True)
class MetricRow:
    """A metric of base and head, with the paired difference head - base and its 95 % confidence interval.

    A value that is not defined, or that needs a base where there is none, is None.

    Attributes:
        shortage: why the rows are too few for an interval; empty if they are enough.
    """

    name: str
    base: float | None
    head: float | None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    lower_is_better: bool = False
    shortage: str = ""


@dataclass(frozen=True)
class HistoryRow:
    """A metric of the head against that of an earlier version, on rows that neither was trained on.

    Attributes:
        value: of the version.
        delta: head - version.
        error: standard error of the difference; NaN if it is not defined in each resample.
        shortage: why the rows are too few for one; empty if they are enough.
    """

    version: str
    metric: str
    value: float
    delta: float
    error: float
    rows: int
    shortage: str = ""


@dataclass(frozen=True)
class GateResult:
    """A result of a gate: passed, failed, or not evaluated because the rows cannot show it.

    Attributes:
        passed: False too if the gate was not evaluated.
        blocks: whether the review fails unless the result passed.
        group: the gate's group, set by `evaluate`.
        warns: whether the result is a warning on the report's first line; set by `evaluate` for a result that was not
            evaluated and does not block, since `gates.when_unclear` is `warn`.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    why: str
    blocks: bool = True
    group: str = ""
    evaluated: bool = True
    warns: bool = False

    @property
    def state(self) -> str:
        """The result as a word: `passed`, `failed` or `not evaluated`."""
        return ("passed" if self.passed else "failed") if self.evaluated else "not evaluated"


def _listed(names: Sequence[str]) -> str:
    """Up to four names, and how many more there are."""
    return ", ".join(names[:4]) + f" and {len(names) - 4} more" * (len(names) > 4)


def counted(results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The results that count as gates; the others are shown only."""
    return tuple(result for result in results if result.blocks or result.warns)


def summary(results: Sequence[GateResult]) -> str:
    """How many gates passed or failed, in words; the console and every report print this text."""
    gates = counted(results)
    states = Counter(gate.state for gate in gates)
    total, failed, unclear = len(gates), states["failed"], states["not evaluated"]
    if not gates:
        return "no gate was evaluated"
    if states["passed"] == total:
        return f"all {total:,} gates passed" if total > 1 else "the only gate passed"
    if not failed and any(gate.blocks and not gate.evaluated for gate in gates):
        return f"{unclear:,} of {total:,} gates not evaluated"
    if not failed:
        return f"{states['passed']:,} of {total:,} gates passed, {unclear:,} not evaluated"
    return f"{failed:,} of {total:,} gates failed" + f", {unclear:,} not evaluated" * bool(unclear)


@dataclass(frozen=True)
class SliceRow:
    """The metric on a slice; `passed` is None where the slice was not evaluated, and `note` says why."""

    name: str
    support: int
    positives: int | None
    value: float | None
    base: float | None
    low: float | None
    high: float | None
    passed: bool | None
    note: str = ""


@dataclass(frozen=True)
class GroupRow:
    """A group of a sensitive column: rates at the threshold.

    Attributes:
        selection_rate: share of rows that are predicted positive.
    """

    column: str
    group: str
    support: int
    positives: int
    recall: float | None
    false_positive_rate: float | None
    selection_rate: float | None
    judged: bool


@dataclass(frozen=True)
class StageRow:
    """A stage of dvc.yaml in this review."""

    name: str
    state: Literal["cached", "pulled", "ran", "failed"]
    seconds: float


@dataclass(frozen=True)
class CandidateRow:
    """A candidate of the head.

    Attributes:
        estimator: its classes, in the order in which they run, each with the classes that it holds.
        changed: its settings that differ from the base's, also of the estimators that it holds, as text; `new` if the
            base lacks it.
        values: metric -> value on the validation rows.
        low, high: the 95 % confidence interval of the criterion, None if the rows are too few.
        size: of its file, in bytes.
    """

    name: str
    estimator: str
    changed: str
    values: dict[str, float | None]
    low: float | None
    high: float | None
    size: int


@dataclass(frozen=True)
class ParamChange:
    """A value of params.yaml that differs between base and head; None where a side lacks it."""

    path: str
    base: str | None
    head: str | None


@dataclass(frozen=True)
class DataChange:
    """What changed in the training rows.

    Attributes:
        shift: input and its population stability index, largest first.
        evidently: where the Evidently page is, or why there is none.
        sides: sentences on the rows, positives and targets of base and head, and the base's score on both.
    """

    rows_base: int | None
    rows_head: int
    removed_columns: tuple[str, ...] = ()
    shift: tuple[tuple[str, float], ...] = ()
    evidently: str | None = None
    sides: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataError:
    """An error of the rows that stopped the pipeline; sensitive values of the examples are masked."""

    column: str
    kind: str
    why: str
    examples: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class FeatureChanges:
    """Features that only the head has, that only the base has, and of both the changed ones with what changed."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()


def data_errors(document: dict[str, Any]) -> tuple[DataError, ...]:
    """The data errors of a reports/validation.json."""
    return tuple(
        DataError(error["column"], error["kind"], error["why"], tuple(error["examples"]))
        for error in document["errors"]
    )


@dataclass(frozen=True)
class Findings:
    """A whole review.

    Attributes:
        explanation: of a review that is no comparison; the first sentence of the report.
        notes: sentences that a reader must not miss: uncommitted changes, other data than data.dvc names, ...
        rows: test rows that both models were scored on.
        left_out: test rows that were not scored because the base's model was trained on them.
        candidates: those of the head, the chosen one, `winner`, first.
        criterion: the metric by which the winner was chosen.
        base_winner: the candidate that the base's model is; None if there is no base, or its name is not known.
        importance: raw field -> loss of the headline metric when the field is shuffled.
        threshold: of the base's model and of the head's.
        weaker_rules: rules of the base that the head removed or made weaker.
        changed_code: files of the review's own code that the head changes.
    """

    name: str
    task: str
    kind: Kind
    headline: str
    base: Side
    head: Side
    gates: tuple[GateResult, ...] = ()
    explanation: str = ""
    notes: tuple[str, ...] = ()
    rows: int = 0
    left_out: int = 0
    metrics: tuple[MetricRow, ...] = ()
    history: tuple[HistoryRow, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    slice_metric: str = ""
    slices: tuple[SliceRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    stages: tuple[StageRow, ...] = ()
    params: tuple[ParamChange, ...] = ()
    data: DataChange | None = None
    features: FeatureChanges | None = None
    data_errors: tuple[DataError, ...] = ()
    candidates: tuple[CandidateRow, ...] = ()
    criterion: str = ""
    winner: str | None = None
    base_winner: str | None = None
    importance: dict[str, float] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    threshold: tuple[float | None, float | None] = (None, None)
    release: str | None = None
    pull_request: int | None = None
    value: Value | None = None
    weaker_rules: tuple[ParamChange, ...] = ()
    changed_code: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands beside the verdict on the first line: why the verdict alone would say too little."""
        by_weaker = [gate for gate in self.gates if gate.group == "weaker rules"]
        needed = [gate.name.removeprefix("weaker rules: ") for gate in by_weaker]
        blocks = any(gate.blocks for gate in by_weaker)
        passes = "would pass only by weaker rules" if blocks else "passes by weaker rules"
        weaker = [change.path for change in self.weaker_rules]
        judged = [change.path for change in self.params if change.base and change.path.startswith(WHAT_IS_JUDGED)]
        if self.kind == "new model":  # everything is another, which the first line says
            judged = []
        texts = (
            (passes, needed),
            ("weakens rules", [] if needed else weaker),
            ("changes which rows, values or decisions are judged", judged),
            ("changes the review's own code", list(self.changed_code)),
        )
        return tuple(f"{what}: {_listed(names)}" for what, names in texts if names)

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        """`fail` if a gate blocks."""
        return "fail" if self.failures else "pass"

    @property
    def failures(self) -> tuple[GateResult, ...]:
        """The gates that block: failed, or not evaluated under `gates.when_unclear: block`."""
        return tuple(gate for gate in self.gates if gate.blocks and not gate.passed)

    @property
    def warnings(self) -> tuple[GateResult, ...]:
        """The gates that were not evaluated and do not block."""
        return tuple(gate for gate in self.gates if gate.warns)

    def to_json(self) -> dict[str, Any]:
        """The document review.json."""
        document: dict[str, Any] = {
            **{name: value for name, value in asdict(self).items() if name not in _NOT_IN_JSON},
            "notes": (*filter(None, [self.explanation]), *self.notes),
            "verdict": self.verdict,
            "features": asdict(self.features or FeatureChanges()),
            "remarks": self.remarks,
        }
        if self.task == "regression":
            # Keys that have no meaning for a regression are left out.
            del document["groups"]
            for case in document["critical"]:
                case["value"] = case.pop("probability")
            for row in document["slices"]:
                del row["positives"]
        return document
