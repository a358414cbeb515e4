"""What one pass of the monitor found: the content of passes/*.json beside the prediction log, and of verdict.json."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Problem = Literal["drift", "input", "quality", "service"]
CheckKind = Literal["missing", "new values", "out of range", "constant", "volume"]


class Record(BaseModel):
    """A file of the monitor, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Alarm(Record):
    """Something that a person must look at.

    Attributes:
        problem: which issue it belongs to.
        name: the input, metric or part that it is about.
        message: one sentence with the numbers.
    """

    problem: Problem
    name: str
    message: str


class Drift(Record):
    """How far one input, or the score, is from its profile.

    Attributes:
        psi: population stability index of the window against the profile.
        tolerance: PSI that natural variation explains.
        p_value: of the window under that tolerance.
        evidence: the e-detector after this pass; an alarm at `Budget.slow_limit`.
        listed: whether Benjamini-Hochberg lists it.
        counts: bin -> rows in the window.
    """

    name: str
    psi: float
    tolerance: float
    p_value: float
    evidence: float
    listed: bool
    counts: dict[str, int]


class Check(Record):
    """A test of an input, or of the volume.

    Attributes:
        name: the input, or `volume`.
        kind: what is tested.
        value: observed share or number.
        expected: share or number of the profile, or of the passes before.
        p_value: None where the check has no error rate (a constant column is certain).
    """

    name: str
    kind: CheckKind
    value: float
    expected: float
    p_value: float | None
    failed: bool


class Metric(Record):
    """A metric on matured labels, with its 95 % confidence interval, beside the promise of the test rows.

    Attributes:
        slice: name of a slice, or None for all rows.
        promised: its value on the test rows; None for a slice.
    """

    name: str
    slice: str | None
    rows: int
    value: float | None
    low: float | None
    high: float | None
    promised: float | None


class Quality(Record):
    """Matured predictions of a pass.

    Attributes:
        matured_from, matured_to: event times of the rows.
        predictions, labelled: rows of that time, and those whose label has arrived.
        corrected: labels that changed after an earlier pass had counted them.
        loss: mean bounded loss; `limit` is the promise's upper bound plus the tolerance.
        evidence: the e-detector after this pass; an alarm at `evidence_limit`.
        previous_loss, previous_limit: of the version before, on the same rows; None if not scored.
        previous_low: lower bound of previous_loss.
        previous_gain: lower bound by which its loss is smaller than that of this version, paired by row.
        no_labels: what is wrong if there are predictions and none has a label, or the log lost them.
    """

    matured_from: datetime
    matured_to: datetime
    predictions: int = 0
    labelled: int = 0
    corrected: int = 0
    metrics: tuple[Metric, ...] = ()
    loss: float | None = None
    limit: float | None = None
    evidence: float | None = None
    evidence_limit: float
    previous_version: str | None = None
    previous_loss: float | None = None
    previous_limit: float | None = None
    previous_low: float | None = None
    previous_gain: float | None = None
    no_labels: str | None = None


class Budget(Record):
    """The false alarms that drift, input checks and volume may raise.

    Attributes:
        passes: mean number of passes between two false alarms.
        alpha_sudden: share of a pass that Holm's test may use.
        smallest_adjusted_p: of this pass; an alarm below alpha_sudden.
        slow: the average of the e-detectors; an alarm at slow_limit.
    """

    passes: int
    alpha_sudden: float
    smallest_adjusted_p: float
    slow: float
    slow_limit: float


class PassRecord(Record):
    """One pass over one version's predictions.

    Attributes:
        start, end: the window, from start (inclusive) to end (exclusive), UTC, on a fixed grid of `every_days`.
        version, release_id: what was in production.
        rows: predictions, without repeated request ids.
        judged: False if there are too few rows.
        set_aside: reason -> rows or files that could not be used.
        not_watched: inputs that are hashed in the log.
        latency_ms: quantile -> value.
    """

    start: datetime
    end: datetime
    version: str
    release_id: str
    rows: int
    judged: bool
    set_aside: dict[str, int]
    not_watched: tuple[str, ...]
    drift: tuple[Drift, ...]
    checks: tuple[Check, ...]
    budget: Budget | None
    quality: Quality | None
    latency_ms: dict[str, float]
    alarms: tuple[Alarm, ...]


class Verdict(Record):
    """verdict.json: the newest pass of each version in production then, and the state of the monitor itself."""

    model_name: str
    made_at: datetime
    passes: tuple[PassRecord, ...]
    alarms: tuple[Alarm, ...]

    @property
    def newest(self) -> PassRecord | None:
        """The newest pass that was judged, or, without one, the newest."""
        return next((record for record in reversed(self.passes) if record.judged), (None, *self.passes)[-1])
