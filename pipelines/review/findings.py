"""What a review found: the one object that the verdict, review.json, the Markdown and the page are made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.model.critical_cases import CriticalResult

Kind = Literal["comparison", "restore", "new line"]


@dataclass(frozen=True)
class Side:
    """One of the two sides. `model` is the md5 of the file that was scored, `named` the one in its dvc.lock."""

    ref: str
    sha: str | None
    model: str | None
    named: str | None = None
    found: str = ""


@dataclass(frozen=True)
class MetricRow:
    """A metric on both sides with the paired difference head - base and its 95 % interval; None where unknown."""

    name: str
    base: float | None
    head: float | None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True)
class Gate:
    """One judgement. What is shown only (`blocks` false) never decides the verdict."""

    name: str
    group: str
    passed: bool
    value: float | None
    limit: float | None
    why: str
    blocks: bool = True


@dataclass(frozen=True)
class SliceRow:
    """A slice; `passed` is None where its support is too small to judge (`note` says so)."""

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
    """One group of a sensitive column: recall and false positive rate at the threshold."""

    column: str
    group: str
    support: int
    positives: int
    recall: float | None
    false_positive_rate: float | None
    judged: bool


@dataclass(frozen=True)
class StageRow:
    """A stage of dvc.yaml in this review."""

    name: str
    state: Literal["cached", "pulled", "ran", "failed"]
    seconds: float


@dataclass(frozen=True)
class ParamChange:
    """One value of params.yaml that differs; None where a side lacks it."""

    path: str
    base: str | None
    head: str | None


@dataclass(frozen=True)
class DataChange:
    """What changed in the training rows. `shift` is the population stability index of an input, largest first."""

    rows_base: int | None
    rows_head: int
    added_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    shift: tuple[tuple[str, float], ...] = ()
    evidently: str | None = None


@dataclass(frozen=True)
class Plot:
    """A plot: lines over x by side (`head`, `base`), or bars (label, length) of the head."""

    name: str
    title: str
    kind: Literal["lines", "bars"]
    x_label: str
    y_label: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bars: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Fault:
    """A fault of the rows that stopped the pipeline (examples have sensitive values masked)."""

    column: str
    kind: str
    why: str
    examples: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Findings:
    """A whole review.

    Attributes:
        notes: sentences that a reader must not miss (dirty work tree, data that differs, a rebuilt base, ...).
        rows: test rows that both sides were scored on; `left_out` of them were trained on by one side.
        candidates: candidate -> metric -> value on validation; `winner` names the chosen one.
        importance: raw field -> loss of the headline metric when it is shuffled.
    """

    name: str
    task: str
    kind: Kind
    headline: str
    base: Side
    head: Side
    gates: tuple[Gate, ...]
    notes: tuple[str, ...] = ()
    rows: int = 0
    left_out: int = 0
    metrics: tuple[MetricRow, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    slice_metric: str = ""
    slices: tuple[SliceRow, ...] = ()
    groups: tuple[GroupRow, ...] = ()
    stages: tuple[StageRow, ...] = ()
    params: tuple[ParamChange, ...] = ()
    data: DataChange | None = None
    faults: tuple[Fault, ...] = ()
    candidates: dict[str, dict[str, float | None]] = field(default_factory=dict)
    winner: str | None = None
    importance: dict[str, float] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    threshold: tuple[float | None, float | None] = (None, None)
    release: str | None = None
    pull_request: int | None = None

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        """Fail if any gate that blocks says no."""
        return "fail" if self.failures else "pass"

    @property
    def failures(self) -> tuple[Gate, ...]:
        """The gates that block and say no."""
        return tuple(gate for gate in self.gates if gate.blocks and not gate.passed)

    def to_json(self) -> dict[str, Any]:
        """The document review.json: the contract's keys first of all, and what else a program may want."""
        document: dict[str, Any] = {
            "verdict": self.verdict,
            "kind": self.kind,
            "name": self.name,
            "base": asdict(self.base),
            "head": asdict(self.head),
            "rows": self.rows,
            "metrics": [asdict(row) for row in self.metrics],
            "gates": [asdict(gate) for gate in self.gates],
            "critical": [asdict(case) for case in self.critical],
            "slices": [asdict(row) for row in self.slices],
            "groups": [asdict(row) for row in self.groups],
            "stages": [asdict(stage) for stage in self.stages],
            "params": [asdict(change) for change in self.params],
            "faults": [asdict(fault) for fault in self.faults],
            "notes": list(self.notes),
            "release": self.release,
            "pull_request": self.pull_request,
        }
        if self.task == "regression":
            # What has no meaning there is not in the file.
            del document["groups"]
            for case in document["critical"]:
                case["value"] = case.pop("probability")
            for row in document["slices"]:
                del row["positives"]
        return document
