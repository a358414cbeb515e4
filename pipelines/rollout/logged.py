"""What the prediction log tells of a canary: its rows, their latencies and scores, the losses of those with a label.

Without the front (`serving.deploy` is a command) nothing else is known. A request that failed has no row there, so a
canary whose requests fail shows as one with too few rows.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import ibis.expr.types as ir
import numpy as np

from pipelines.cli.errors import InputError
from pipelines.cli.progress import Progress
from pipelines.config.monitor import Labels
from pipelines.config.rollout import Limits, Rollout
from pipelines.model.bounded_loss import bounded_loss, largest_loss
from pipelines.model.profile import load_profile
from pipelines.model.signature import Signature
from pipelines.predictions.labels import KNOWN, TARGET, open_labels
from pipelines.predictions.log import parse_log
from pipelines.predictions.window import LATENCY, REQUEST_ID, SCORE, TIME, instant, open_connection, open_window
from pipelines.repository import base_model
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.tags import Version
from pipelines.rollout import judge
from pipelines.rollout.judge import ALPHA, CANARY, Counts, Judgement
from pipelines.rollout.losses import Difference, LabelledRows, compare_losses
from pipelines.rollout.records import LOG, Record, conclude
from pipelines.tables.data import to_numpy
from pipelines.tables.locations import NoFile

# Those of serving/metrics.py.
_SIZES = np.array([10 ** (tenth / 10) for tenth in range(-30, 91)])
EDGES = {
    "classification": np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9]),
    "regression": np.concatenate([-_SIZES[::-1], [0.0], _SIZES]),
}


@dataclass(frozen=True)
class Step:
    """A time in which the canary had one share of the requests, in percent."""

    percent: int
    start: datetime
    end: datetime


class LoggedRollout:
    """The rows of production's version and of the canary's in the prediction log at `log`."""

    def __init__(self, log: str, production: Version, canary: Version) -> None:
        self._log = parse_log(log)
        self._arms = production, canary
        self._connection = open_connection()

    def report(self, step: Step, rollout: Rollout) -> Record:
        """Judge a step by its rows."""
        counts = self._count(step, rollout.limits.p99_ms)
        judgement = judge_rows(counts, rollout.limits, len(rollout.steps), step.percent)
        if step.end - step.start < timedelta(minutes=rollout.min_minutes):
            judgement.worse.pop("requests")  # the command that gives the canary its share takes time
        state, reasons = conclude(judgement)
        return Record(
            version=self._arms[CANARY].tag,
            percent=step.percent,
            host=LOG,
            seconds=(step.end - step.start).total_seconds(),
            updated=step.end,
            state=state,
            reasons=reasons,
            counts={name: value.tolist() for name, value in vars(counts).items()},
            bets=[],
            read={},
        )

    def compare(
        self,
        step: Step,
        labels: Labels,
        loss: str,
        now: datetime,
        alpha: float,
        final_after: timedelta = timedelta(0),
    ) -> Difference | None:
        """Return the difference of the losses of a step's labelled rows; None where no label can be compared.

        A label is final `final_after` after its prediction: a younger row does not count.

        Raises:
            InputError: if the labels cannot be read, or do not fit the log.
            Unreachable: if a store does not respond.
        """
        largest = self._largest_loss(loss)
        if largest is None:
            return None
        production, canary = (self._losses(arm, step, labels, loss, largest, now, final_after) for arm in self._arms)
        return compare_losses(loss, production, canary, step.percent, alpha)

    def _count(self, step: Step, p99_ms: float) -> Counts:
        requests, timed, slow, scores = [], [], [], []
        for arm in self._arms:
            with self._open(arm, step) as (table, signature):
                # A row of a batch, whose request id has a slash, has the latency of the whole batch.
                single = ~table[REQUEST_ID].contains("/")
                first = table[REQUEST_ID].endswith("/0")  # of a batch, which is one request
                rows = table.select(
                    SCORE, single=single, first=single | first, slow=single & (table[LATENCY] > p99_ms)
                ).to_pyarrow()
            edges = EDGES[signature.task]
            bins = np.searchsorted(edges, to_numpy(rows, SCORE), side="right")
            requests.append(to_numpy(rows, "first").sum())
            timed.append(to_numpy(rows, "single").sum())
            slow.append(np.nansum(to_numpy(rows, "slow")))
            scores.append(np.bincount(bins, minlength=len(edges) + 1).astype(float))
        return Counts(np.array(requests), np.zeros(2), np.array(timed), np.array(slow), np.stack(scores))

    def _losses(
        self,
        arm: Version,
        step: Step,
        settings: Labels,
        loss: str,
        largest: float,
        now: datetime,
        final_after: timedelta,
    ) -> LabelledRows:
        with self._open(arm, step) as (table, signature):
            try:
                with open_labels(self._connection, settings, signature) as labels:
                    joined = labels.join(table.filter(table[TIME] < instant(now - final_after)), now)
                    times = {"known": joined[KNOWN].fill_null(joined[TIME]), "asked": joined[TIME]}
                    rows = joined.order_by(TIME, REQUEST_ID).select(SCORE, TARGET, **times).to_pyarrow()
            except NoFile:
                return LabelledRows(*np.empty((3, 0)))
        losses = bounded_loss(loss, to_numpy(rows, TARGET), to_numpy(rows, SCORE), largest)
        known, asked = (rows[name].cast("timestamp[us]").cast("int64").to_numpy() for name in ("known", "asked"))
        known = np.maximum(known, asked + final_after // timedelta(microseconds=1))
        return LabelledRows(losses, known, asked)

    def _largest_loss(self, loss: str) -> float | None:
        """Return the loss that counts as 1; for a regression that of production's test rows, None if it is lost."""
        if loss != "absolute_error":
            return largest_loss(loss, np.empty(0), np.empty(0))
        set_remote_from_environment(Path())
        base = base_model.fetch_stored(self._arms[0].commit, Progress())
        promise = load_profile(base.profile).promise if base and base.profile else None
        return promise.losses[loss].largest if promise else None

    @contextmanager
    def _open(self, arm: Version, step: Step) -> Iterator[tuple[ir.Table, Signature]]:
        signature = _read_signature(arm)
        span = arm.release_id, step.start, step.end
        with open_window(self._connection, self._log, signature, *span) as window:
            yield window.table, signature


def judge_rows(counts: Counts, limits: Limits, steps: int, percent: int) -> Judgement:
    """Return what the rows of a step show, with the canary's share of them instead of its errors.

    A canary with less than half of the rows that its share promises is worse.
    """
    evidence = judge.Evidence(counts, judge.start(1).bets)
    judgement = judge.judge(evidence, limits, steps)
    rows, half = (counts.requests[CANARY], counts.requests.sum()), percent / 200
    has_too_few = judge.confidence_sequence(*rows, judge.alpha_of_test(steps))[1] < half
    has_enough = judge.confidence_sequence(*rows, ALPHA)[0] > half
    return Judgement(
        {"requests": has_too_few} | {name: value for name, value in judgement.worse.items() if name != "errors"},
        {"requests": has_enough} | {name: value for name, value in judgement.within.items() if name != "errors"},
    )


def _read_signature(version: Version) -> Signature:
    """Return the signature that a version's tag holds."""
    try:
        return Signature.from_json({"example": {}, **json.loads(version.annotation.contract or "")})
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"the tag {version.tag} holds no signature, by which the prediction log could be read",
            "Release the model again: its next version's tag holds one.",
        ) from error
