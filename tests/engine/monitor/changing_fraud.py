"""A repository whose fraud changes: its rows, its logs of predictions and its labels, around the real today.

The inputs never change, so that nothing drifts; only what they say about fraud does.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from testing.repository import NOT_PREPARED
from tests.engine.fixtures_repo import PARAMS, Repo, copy_sources, point_at_cache
from tests.engine.in_process import must, reproduce, verb
from tests.engine.monitor.production import Production, encoded, open_scorer

DAY = timedelta(days=1)
TRAINED, LATER = 42, 42  # days of rows before the first version, and after today
ROWS = 300  # of a day
DELAY = 3  # days until a label is final
MONDAY = date.today() - timedelta(days=date.today().weekday())
RELEASED = MONDAY - 42 * DAY  # the day of the first version in production
CRITICAL = """
- name: a small payment by chip is let through
  why: It is the most common payment.
  row: {amount: 12.5, channel: chip}
  expect: {at_most: 0.9}
"""


def make_rows(change: date | None = None, revealing_until: date | None = None) -> pa.Table:
    """Make all payments, those after today included.

    Args:
        change: from this day on, small payments by stripe are fraud instead of large ones online.
        revealing_until: before this day, `hint` was filled in after the label was known; later it is noise.
    """
    draw = np.random.default_rng(5)
    days = (date.today() - RELEASED).days + TRAINED + LATER
    n = days * ROWS
    start = int(np.datetime64(RELEASED - TRAINED * DAY, "s").astype(np.int64))
    second = np.sort(draw.integers(0, days * 86_400, n))
    day = second // 86_400
    amount = np.round(draw.lognormal(3.0, 1.0, n).clip(0.5, 1000), 2)
    channel = draw.choice(["chip", "online", "stripe"], n, p=[0.5, 0.3, 0.2])
    before = (channel == "online") & (amount > 40)
    after = (channel == "stripe") & (amount < 15)
    is_changed = day >= (change - RELEASED).days + TRAINED if change else np.zeros(n, dtype=bool)
    fraud = draw.random(n) < np.where(np.where(is_changed, after, before), 0.5, 0.01)
    is_revealing = day < (revealing_until - RELEASED).days + TRAINED if revealing_until else np.zeros(n, dtype=bool)
    hint = np.where(fraud, draw.beta(3, 1, n), draw.beta(1, 3, n))
    hint[~is_revealing] = draw.permutation(hint)[~is_revealing]
    known = second + draw.integers(3_600, DELAY * 86_400, n)
    moment = pa.timestamp("s")
    return pa.table(
        {
            "payment_id": [f"p{number:08d}" for number in range(n)],
            "paid_at": pa.array(second + start).cast(moment),
            "amount": amount,
            "channel": channel,
            "hint": np.round(hint, 3),
            "is_fraud": fraud.astype(np.int64),
            "labelled_at": pa.array(known + start).cast(moment),
        }
    )


def settings(rows: Path, labels: Path, **monitor: Any) -> dict[str, Any]:
    """params.yaml: a model of amount and channel, trained on the rows before RELEASED."""
    document: dict[str, Any] = yaml.safe_load(PARAMS.read_text())
    del document["fairness"]
    columns = {
        "payment_id": {"type": "identifier"},
        "paid_at": {"type": "timestamp"},
        "amount": {"type": "number", "min": 0, "max": 1000},
        "channel": {"type": "category", "allowed": ["chip", "online", "stripe"]},
        "hint": {"type": "number", "min": 0, "max": 1},
        "is_fraud": {"type": "integer", "min": 0, "max": 1, "nullable": True},
        "labelled_at": {"type": "timestamp", "nullable": True},
    }
    boosting = document["candidates"]["boosting"]
    boosting["params"].update(max_iter=40, max_leaf_nodes=8)
    document["schema"].update(label_delay_days=DELAY, columns=columns)
    document["gates"].update(
        resamples=300,
        floors={"average_precision": 0.05, "roc_auc": 0.6},
        regression={"average_precision": 0.05, "log_loss": 0.03},
        scoring_time_ratio=50.0,
        plausible_gain=0.95,
    )
    return document | {
        "ingest": {"kind": "files", "paths": [str(rows)], "until": RELEASED.isoformat()},
        "split": {"by": "time", "test_days": 7, "validation_days": 5},
        "features": {"use": ["amount", "channel"], "derive": {"log_amount": {"op": "log1p", "of": "amount"}}},
        "candidates": {"boosting": boosting},
        "value": None,
        "slices": {"metric": "roc_auc", "min_support": 100, "tolerance": 0.5, "by": {"channel": {"column": "channel"}}},
        "monitor": {"labels": {"path": str(labels)}, "min_rows": 100, "evidently": [], **monitor},
    }


@dataclass(frozen=True)
class Fraud:
    """A folder with `origin` (reproduced and committed), the DVC cache `cache`, `log` and `labels.parquet`."""

    folder: Path
    rows: pa.Table

    @property
    def origin(self) -> Repo:
        """The repository."""
        return Repo(self.folder / "origin", self.folder / "cache")

    @property
    def log(self) -> Path:
        """The prediction log."""
        return self.folder / "log"

    def train(self, message: str, **params: Any) -> None:
        """Change params.yaml, reproduce, and commit to main."""
        self.origin.params(lambda document: document.update(params))
        reproduce(self.origin)
        self.origin.commit(message)

    def log_predictions(self, models: Path, release_id: str, start: datetime, end: datetime) -> None:
        """Write what the service would have logged: the predictions of a release in a span of time."""
        paid_at = self.rows["paid_at"]
        first, last = (pa.scalar(time.astimezone(UTC).replace(tzinfo=None), pa.timestamp("s")) for time in (start, end))
        rows = self.rows.filter(pc.and_(pc.greater_equal(paid_at, first), pc.less(paid_at, last)))
        scorer = open_scorer(models)
        scores = scorer.score(encoded(rows, scorer))
        Production(rows, scores, models, release_id).write_log(self.log, name=release_id)


def make_fraud(folder: Path, rows: pa.Table, monitor: dict[str, Any], **params: Any) -> Fraud:
    """Make a repository with a trained first version; `params` replaces sections of params.yaml."""
    (folder / "rows").mkdir(parents=True)
    pq.write_table(rows, folder / "rows/payments.parquet")
    made = Fraud(folder, rows)
    repo = made.origin
    repo.path.mkdir()
    copy_sources(repo.path)
    shutil.rmtree(repo.path / "tests/critical")
    (repo.path / "tests/critical").mkdir(parents=True)
    (repo.path / "tests/critical/payments.yaml").write_text(CRITICAL)
    (repo.path / "features/prepare.py").write_text(NOT_PREPARED)
    document = settings(folder / "rows", folder / "labels.parquet", **monitor) | params
    (repo.path / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    repo.git("init", "--quiet", "--initial-branch=main")
    point_at_cache(repo)
    must(verb(repo, "data"))
    reproduce(repo)
    repo.commit("Train the first version")
    Production(rows, None, repo.path / "models", "").write_labels(folder / "labels.parquet")
    return made
