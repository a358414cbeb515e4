"""A log whose labels are known, for tests of the quality: the model's probability is the truth, until fraud changes."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config.params import Params, parse
from pipelines.model.profile import Profile
from pipelines.model.signature import Signature
from pipelines.monitor.history import History
from pipelines.monitor.pass_record import PassRecord, Quality
from pipelines.monitor.quality import judge_quality
from pipelines.monitor.schedule import DuePass
from pipelines.predictions.log import parse_log
from pipelines.predictions.window import open_connection, open_window
from pipelines.repository.tags import Annotation, Assignment
from tests.engine.fixtures_repo import PARAMS
from tests.engine.monitor import records
from tests.engine.monitor.log_files import MONDAY, RELEASE, SIGNATURE, go_on, log_table, write_log

DELAY = 14
WEEK = timedelta(days=7)
START = MONDAY.replace(tzinfo=UTC)


def assignment(
    release: str = RELEASE, version: str = "fraud@v1.0.0", at: datetime = START, commit: str = "HEAD"
) -> Any:
    """An assignment of a version to production."""
    annotation = Annotation(
        release=release,
        image=f"127.0.0.1:5000/fraud@sha256:{'a' * 64}",
        model="m",
        signature="s",
        version=version,
        main_commit=commit,
    )
    return Assignment("fraud#production#1", 1, commit, at, annotation)


def params(path: Path | str, **labels: Any) -> Params:
    """The problem of the tests, with labels, and slices by an input of the log."""
    import yaml

    document = yaml.safe_load(PARAMS.read_text())
    document["monitor"] = {"labels": {"path": str(path), **labels}}
    document["slices"]["by"] = {"channel": {"column": "channel"}}
    document["slices"]["min_support"] = 50
    return parse(yaml.safe_dump(document))


def due_pass(week: int, release: str = RELEASE) -> DuePass:
    """The pass of a week."""
    return DuePass(assignment(release), START + week * WEEK, START + (week + 1) * WEEK)


def write_month(log: Path, labels: Path, weeks: int, rows: int = 700, changed_from: int | None = None) -> None:
    """Write log and labels of some weeks; from `changed_from` on, the model sees only half of the fraud."""
    labels.mkdir(exist_ok=True)
    for week in range(weeks):
        generator = np.random.default_rng(week)
        for day in range(7):
            date = MONDAY + timedelta(days=7 * week + day)
            table = log_table(rows // 7, date, seed=week * 7 + day)
            scores = table["probability"].to_numpy()
            truth = generator.random(len(table)) < scores
            if changed_from is not None and week >= changed_from:
                truth |= generator.random(len(table)) < 0.15
            write_log(log, table, date)
            write_labels(labels / f"{date:%m%d}.parquet", table["request_id"], truth, date + timedelta(days=3))
    go_on(log, MONDAY + weeks * WEEK)


def write_labels(path: Path, ids: Any, labels: Any, known: datetime) -> None:
    """Write a file of labels."""
    made = {
        "request_id": ids,
        "label": pa.array(np.asarray(labels).astype(int)),
        "known_at": pa.array([known] * len(ids), pa.timestamp("us")),
    }
    pq.write_table(pa.table(made), path)


def profile(mean: float = 0.045, error: float = 0.001) -> Profile:
    """A profile with the promise of a log loss; that of the made-up rows is about 0.045 of the largest."""
    losses = {"log_loss": {"mean": mean, "standard_error": error, "largest": 6.907755}}
    return Profile.model_validate({"rows": 10, "inputs": {}, "promise": {"rows": 1000, "losses": losses}})


def judge(
    log: Path | str,
    settings: Params,
    week: int,
    earlier: list[PassRecord] | None = None,
    promised: Profile | None = None,
    previous: Any = None,
    signature: Signature = SIGNATURE,
) -> Quality:
    """The quality of a week's pass."""
    connection = open_connection()
    quality = judge_quality(
        connection,
        partial(open_window, connection, parse_log(str(log)), signature, RELEASE),
        settings,
        due_pass(week),
        signature,
        promised or profile(),
        earlier or [],
        lambda: previous,
    )
    assert quality is not None
    return quality


def record(week: int, quality: Quality | None, **more: Any) -> PassRecord:
    """The record of a week's pass."""
    start = START + week * WEEK
    return records.record(start, start + WEEK, release_id=RELEASE, quality=quality, **({"rows": 700} | more))


def judge_weeks(log: Path, settings: Params, weeks: int, **more: Any) -> list[Quality]:
    """The qualities of successive passes."""
    passes: list[PassRecord] = []
    for week in range(weeks):
        passes.append(record(week, judge(log, settings, week, passes, **more)))
    return [item.quality for item in passes if item.quality]


def history(log: Path) -> History:
    """The history beside a log."""
    return History(parse_log(str(log)))
