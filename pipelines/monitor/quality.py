"""The quality of the deployed model on matured labels: metrics for people, and an alarm on a bounded loss."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt

from pipelines.cli.errors import InputError
from pipelines.config.monitor import passes_between_alarms
from pipelines.config.params import Params
from pipelines.model.bounded_loss import bounded_loss
from pipelines.model.encoding import encode
from pipelines.model.metrics import too_few
from pipelines.model.profile import Profile, load_profile
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature, load_signature
from pipelines.monitor.detectors import add_evidence, betting_evidence, mean_lower_bound
from pipelines.monitor.metrics import measure, promised_metrics
from pipelines.monitor.pass_record import PassRecord, Quality
from pipelines.monitor.schedule import DuePass
from pipelines.predictions.labels import TARGET, LabelTable, open_labels
from pipelines.predictions.window import REQUEST_ID, SCORE, TIME, Window
from pipelines.repository.base_model import Base
from pipelines.tables.data import to_numpy
from pipelines.tables.locations import NoFile

Floats = npt.NDArray[np.float64]
MAX_ROWS = 100_000  # for metrics and for the previous version; the loss is that of all rows
# Of the two losses of a classification, this one has twice the evidence when fraudsters change: docs/monitoring.md.
LOSS = {"classification": "log_loss", "regression": "absolute_error"}
_Z = 1.96
MAX_PASSES = 4  # that a pass makes up for if they had no label, and whose corrections it counts

FetchPrevious = Callable[[], tuple[str, Base] | None]
"""Fetch the model of the version before, with its tag; None if there is none."""
OpenWindow = Callable[[datetime, datetime], AbstractContextManager[Window]]
"""Open the predictions of a pass's release in a span of time."""


@dataclass(frozen=True)
class Limit:
    """The largest mean loss that keeps the promise, and the loss that counts as 1."""

    mean: float
    largest: float


def find_limit(profile: Profile, task: str, tolerance: float | str) -> Limit | None:
    """Return the upper bound of the promise's 95 % confidence interval plus the tolerance; None without a promise."""
    promised = profile.promise.losses.get(LOSS[task]) if profile.promise else None
    if promised is None:
        return None
    if isinstance(tolerance, str):
        allowed = promised.mean * float(tolerance.rstrip("%")) / 100
    else:
        allowed = tolerance / promised.largest
    return Limit(promised.mean + _Z * promised.standard_error + allowed, promised.largest)


def judge_quality(
    connection: ibis.BaseBackend,
    open_rows: OpenWindow,
    params: Params,
    due: DuePass,
    signature: Signature,
    profile: Profile,
    earlier: Sequence[PassRecord],
    fetch_previous: FetchPrevious,
) -> Quality | None:
    """Judge the predictions of a version whose labels have matured by a pass; None without `monitor.labels`.

    Labels that are not there, or have not arrived, are no error: the other parts of the pass need none.

    Args:
        earlier: the passes before this one, of all versions.
        fetch_previous: called if the evidence reaches its limit.

    Raises:
        InputError: if the labels cannot be read, or do not fit the log.
        Unreachable: if a store does not respond.
    """
    settings = params.monitor.labels
    if settings is None:
        return None
    of_release = [record for record in earlier if record.release_id == due.assignment.release_id]
    done = [record.quality for record in of_release if record.quality]
    start, end = matured_span(due, params, done)
    limit = find_limit(profile, signature.task, params.monitor.quality.tolerance)
    evidence = next((item.evidence for item in reversed(done) if item.evidence is not None), None)
    quality = Quality(
        matured_from=start,
        matured_to=start,  # until there is a label: the next pass takes these rows
        limit=limit and limit.mean * limit.largest,
        evidence=evidence,
        evidence_limit=float(passes_between_alarms(params.monitor.quality.false_alarms)),
    )
    with open_rows(start, end) as window:
        if not window.rows:
            lost = sum(record.rows for record in of_release if start <= record.start and record.end <= end)
            reason = f"the log no longer holds the {lost:,} predictions from {start:%Y-%m-%d} to {end:%Y-%m-%d}"
            return quality.model_copy(update={"matured_to": end, "no_labels": reason if lost else None})
        update: dict[str, Any] = {"predictions": window.rows}
        try:
            with open_labels(connection, settings, signature) as labels:
                joined = labels.join(window.table, due.end)
                scored = joined.order_by(TIME, REQUEST_ID).select(SCORE, TARGET).to_pyarrow()
                sample = joined.order_by(joined[REQUEST_ID].hash(), REQUEST_ID).limit(MAX_ROWS)
                sample = sample.order_by(TIME, REQUEST_ID).to_pyarrow()
                update["corrected"] = _count_corrected(open_rows, labels, due, done, start)
        except NoFile:
            return quality.model_copy(update=update | {"no_labels": f"no labels found at {settings.path}"})
    if not len(scored):
        reason = f"none of the predictions from {start:%Y-%m-%d} to {end:%Y-%m-%d} has a label"
        return quality.model_copy(update=update | {"no_labels": reason})
    promised = promised_metrics(due.assignment.commit)
    update |= {"matured_to": end, "labelled": len(scored), "metrics": measure(sample, params, signature, promised)}
    update |= _judge_loss(scored, sample, signature, limit, quality, end, fetch_previous, params)
    return quality.model_copy(update=update)


def matured_span(due: DuePass, params: Params, done: Sequence[Quality]) -> tuple[datetime, datetime]:
    """Return the pass's own span, moved back by the days until a label is final.

    It begins where the newest pass with a label ended, so that a row counts once, also if the delay was changed; and it
    takes the rows of up to four passes for which no label had arrived.
    """
    delay = timedelta(days=params.table.label_delay_days)
    end = due.end - delay
    newest = max((item.matured_to for item in done), default=None)
    first = due.start - delay if newest is None else min(newest, end)
    return max(first, due.start - delay - MAX_PASSES * timedelta(days=params.monitor.every_days)), end


def _judge_loss(
    rows: Any,
    sample: Any,
    signature: Signature,
    limit: Limit | None,
    before: Quality,
    end: datetime,
    fetch_previous: FetchPrevious,
    params: Params,
) -> dict[str, Any]:
    """Return loss and evidence of all rows; if the evidence reaches its limit, the previous version's of a sample."""
    if limit is None:
        return {}
    loss = _loss(rows, to_numpy(rows, SCORE), signature.task, limit)
    hours = max(round((end - before.matured_from) / timedelta(hours=1)), 2)
    evidence = float(
        add_evidence(before.evidence or 0.0, betting_evidence(loss, limit.mean, hours), before.evidence_limit)
    )
    update: dict[str, Any] = {"loss": float(loss.mean()) * limit.largest, "evidence": evidence}
    previous = fetch_previous() if evidence >= before.evidence_limit else None
    if previous is not None:
        version, base = previous
        update |= {"previous_version": version} | _compare(sample, base, signature, limit, hours, params)
    return update


def _loss(rows: Any, scores: Floats, task: str, limit: Limit) -> Floats:
    return bounded_loss(LOSS[task], to_numpy(rows, TARGET).astype(np.float64), scores, limit.largest)


def _compare(rows: Any, base: Base, signature: Signature, limit: Limit, hours: int, params: Params) -> dict[str, Any]:
    """Return an earlier model's mean loss on rows with its lower bound and limit, and the bound by which it is smaller.

    Its loss and its limit are clipped as its promise is. In the difference, which is paired by row, both losses are
    clipped as those of the version in production. Nothing is returned if the log lacks what the model reads, or with
    fewer than 20 rows of a class: a model that is worse on rare rows seemed better in 25 of 100 weeks without any.
    """
    other = load_signature(base.signature)
    logged = {item.name: item for item in signature.inputs if not item.sensitive}
    own = base.profile and find_limit(load_profile(base.profile), other.task, params.monitor.quality.tolerance)
    is_logged = all(item.name in logged and logged[item.name].type == item.type for item in other.inputs)
    if not own or other.task != signature.task or not is_logged:
        return {}
    if too_few(signature.task, to_numpy(rows, TARGET).astype(np.float64)):
        return {}
    try:
        scores = Scorer(base.model, other).score(
            {item.name: encode(item, to_numpy(rows, item.name)) for item in other.inputs}
        )
    except (InputError, ValueError):
        return {}  # it cannot score all of them
    loss = _loss(rows, scores, other.task, own)
    one_in = passes_between_alarms(params.monitor.quality.false_alarms)
    gain = _loss(rows, to_numpy(rows, SCORE), other.task, limit) - _loss(rows, scores, other.task, limit)
    return {
        "previous_loss": float(loss.mean()) * own.largest,
        "previous_low": mean_lower_bound(loss, hours, one_in) * own.largest,
        "previous_limit": own.mean * own.largest,
        "previous_gain": mean_lower_bound(gain, hours, one_in) * limit.largest,
    }


def _count_corrected(
    open_rows: OpenWindow, labels: LabelTable, due: DuePass, done: Sequence[Quality], start: datetime
) -> int:
    """Return the rows of the last passes whose label was corrected since the pass before this one."""
    counted = [item for item in done if item.labelled][-MAX_PASSES:]
    corrected = labels.corrected(due.start, due.end)
    if not counted or not corrected.count().execute():
        return 0
    with open_rows(min(item.matured_from for item in counted), start) as window:
        return int(window.table.semi_join(corrected, list(labels.keys)).count().execute())
