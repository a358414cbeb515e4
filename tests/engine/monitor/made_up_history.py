"""Nine months of passes over a fraud model, made up: two upgrades, a rollback, then drift and fraud that changes."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from pipelines.monitor.pass_record import Alarm, Budget, Check, Drift, Metric, PassRecord, Quality, Verdict
from pipelines.repository.tags import Annotation, Assignment

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
INPUTS = (
    *("amount", "card_country", "channel", "hour", "merchant_category", "merchant_country", "minutes_since_last"),
    *("new_device", "paid_at", "payments_1h", "payments_24h", "usual_amount", "probability"),
)
DRIFTING = {"amount": 0.021, "merchant_country": 0.012, "probability": 0.016}
SLICES = ("channel=chip", "channel=contactless", "channel=online", "merchant_country=CY, MT, RO, US", "amount>=300")
SPLIT = START + 27 * WEEK + timedelta(days=2, hours=14, minutes=20)  # the newest version came in the middle of a week
RELEASES = (
    (START - timedelta(days=12, hours=-10), "fraud@v1.3.0", "0b0b0b0b0b0b"),
    (START + 9 * WEEK, "fraud@v1.4.0", "1c1c1c1c1c1c"),
    (START + 17 * WEEK, "fraud@v1.5.0", "2d2d2d2d2d2d"),
    (START + 19 * WEEK, "fraud@v1.4.0", "1c1c1c1c1c1c"),
    (SPLIT, "fraud@v1.6.0", "3e3e3e3e3e3e"),
)


def assignments() -> list[Assignment]:
    """The assignments to production; the fourth is a rollback."""
    made = []
    for counter, (time, version, release) in enumerate(RELEASES, 1):
        fields: dict[str, Any] = {
            "release": release,
            "image": f"ghcr.io/acme/fraud@sha256:{release[0] * 64}",
            "model": "a" * 32,
            "signature": "b" * 32,
            "version": version,
            "main_commit": release[0] * 40,
            "pull_request": 20 + counter,
            "approved_by": ("ann",),
        }
        made.append(Assignment(f"fraud#production#{counter}", counter, "c" * 40, time, Annotation(**fields)))
    return made


def _drift(draw: np.random.Generator, change: float, evidence: float) -> tuple[Drift, ...]:
    rows = []
    for name in INPUTS:
        psi = float(0.002 + 0.0012 * draw.gamma(2.0) + change * DRIFTING.get(name, 0.0))
        listed = change > 0.5 and name in DRIFTING
        counts = {str(i): int(count) for i, count in enumerate(draw.integers(900, 1100, 10))}
        p_value = 10.0 ** -(6 * change) if listed else float(draw.uniform(0.05, 1.0))
        rows.append(
            Drift(
                name=name,
                psi=psi,
                tolerance=0.008,
                p_value=p_value,
                evidence=evidence * (8 if listed else 1),
                listed=listed,
                counts=counts,
            )
        )
    return tuple(rows)


def _metric(name: str, value: float, half: float, promised: float, rows: int, part: str | None = None) -> Metric:
    return Metric(
        name=name,
        slice=part,
        rows=rows,
        value=value,
        low=value - half,
        high=value + half,
        promised=promised,
    )


def _quality(
    draw: np.random.Generator, start: datetime, end: datetime, decay: float, version: str, evidence: float
) -> Quality:
    rows = int((end - start) / WEEK * 13_400)
    noise = float(draw.normal(0, 0.008))
    promised = {"fraud@v1.3.0": 0.752, "fraud@v1.4.0": 0.775, "fraud@v1.5.0": 0.781}.get(version, 0.779)
    metrics = [
        _metric("average_precision", promised + noise - 0.16 * decay, 0.028, promised, rows),
        _metric("roc_auc", 0.981 + noise / 4 - 0.05 * decay, 0.005, 0.9834, rows),
        _metric("log_loss", 0.0193 - noise / 20 + 0.009 * decay, 0.0012, 0.01913, rows),
        _metric("recall", 0.69 + noise - 0.2 * decay, 0.036, 0.703, rows),
    ]
    for i, part in enumerate(SLICES):
        metrics.append(
            _metric(
                "roc_auc", 0.975 - i / 200 - 0.07 * decay * (i in (2, 3)), 0.011, 0.978 - i / 200, rows // (i + 2), part
            )
        )
    previous = {"fraud@v1.4.0": "fraud@v1.3.0", "fraud@v1.6.0": "fraud@v1.4.0"}.get(version)
    return Quality(
        matured_from=start - 2 * WEEK,
        matured_to=end - 2 * WEEK,
        predictions=rows,
        labelled=rows - 61,
        corrected=17,
        metrics=tuple(metrics),
        loss=0.0193 - noise / 20 + 0.009 * decay,
        limit=0.0221,
        evidence=evidence,
        evidence_limit=200.0,
        previous_version=previous,
        previous_loss=0.0204 if previous else None,
    )


def _pass(
    draw: np.random.Generator, start: datetime, end: datetime, change: float, decay: float, week: int
) -> PassRecord:
    _, version, release = [item for item in RELEASES if item[0] <= start][-1]
    rows = int((end - start) / WEEK * draw.normal(13_500, 420))
    judged = rows >= 500 and week != 14  # a week of holidays
    if not judged:
        rows = min(rows, 212)
    since = next(i for i in range(week + 1) if START + i * WEEK >= [r for r in RELEASES if r[0] <= start][-1][0] - WEEK)
    slow = min(0.4 * (week - since) + (60 * change), 260.0)
    drift = _drift(draw, change, max(slow / 2, 0.1))
    smallest = 10.0 ** -(5 * change) if change > 0.5 else float(draw.uniform(0.08, 1.0))
    missing = 0.1 if week == 23 else 0.021
    checks = (
        Check(
            name="usual_amount",
            kind="missing",
            value=missing,
            expected=0.02,
            p_value=1e-9 if week == 23 else 0.6,
            failed=week == 23,
        ),
        Check(name="merchant_category", kind="new values", value=0.0, expected=0.0, p_value=1.0, failed=False),
        Check(name="volume", kind="volume", value=float(rows), expected=13_500.0, p_value=0.4, failed=False),
    )
    alarms = []
    if judged and week == 23:
        alarms.append(
            Alarm(
                problem="input",
                name="usual_amount",
                message="usual_amount is missing in 10 % of the rows; expected 2 % (adjusted p = 1e-8).",
            )
        )
    for item in sorted(drift, key=lambda item: -item.psi):
        if item.listed:
            shift = f"its PSI is {item.psi:.3g}, and up to {item.tolerance:.3g} is natural"
            alarms.append(
                Alarm(problem="drift", name=item.name, message=f"{item.name} has shifted in this pass: {shift}")
            )
    evidence = float(np.exp(7 * decay) * 1.1)
    quality = _quality(draw, start, end, decay, version, evidence) if judged and week > 2 else None
    if quality and evidence > 200:
        loss = f"{quality.loss:.4g}, above the limit of {quality.limit:.4g}"
        alarms.append(
            Alarm(problem="quality", name="loss", message=f"the mean loss of {quality.labelled:,} rows is {loss}")
        )
    return PassRecord(
        start=start,
        end=end,
        version=version,
        release_id=release,
        rows=rows,
        judged=judged,
        set_aside={"rows of another release": 12, "repeated request ids": 31} if week % 3 else {},
        not_watched=("customer_id", "age_group"),
        drift=drift if judged else (),
        checks=checks if judged else (),
        budget=Budget(passes=52, alpha_sudden=1 / 104, smallest_adjusted_p=smallest, slow=slow, slow_limit=104.0)
        if judged
        else None,
        quality=quality,
        latency_ms={
            "0.5": float(draw.normal(2.1, 0.1)),
            "0.95": float(draw.normal(5.4, 0.4)),
            "0.99": float(draw.normal(11, 1.5)),
        },
        alarms=tuple(alarms),
    )


def records(weeks: int = 30, quiet: bool = False) -> list[PassRecord]:
    """The passes in order; the week in which the newest version was assigned has two."""
    draw, made = np.random.default_rng(7), []
    for week in range(weeks):
        start, end = START + week * WEEK, START + (week + 1) * WEEK
        late = 0.0 if quiet else max(0, week - 26) / 3
        decay = 0.0 if quiet else max(0.0, week - 27) / 2
        cuts = [start, SPLIT, end] if start < SPLIT < end else [start, end]
        made += [_pass(draw, a, b, late, decay, week) for a, b in itertools.pairwise(cuts)]
    return made


def verdict(history: list[PassRecord]) -> Verdict:
    """The verdict on the newest pass of each version in its week."""
    week = history[-1].end - WEEK
    newest = tuple(record for record in history if record.start >= week)
    alarms = tuple(alarm for record in newest for alarm in record.alarms)
    return Verdict(model_name="fraud", made_at=history[-1].end + timedelta(hours=1), passes=newest, alarms=alarms)
