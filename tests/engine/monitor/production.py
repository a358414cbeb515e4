"""Production of the simulated problem for tests: the world of the training rows goes on, and the service logs it.

The rows come from a longer simulation with the same seed: the same customers and merchants, and payments after
those that the model was trained on. The model scores them, and the service's own code makes the files of the log.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.config.ingest import Simulator
from pipelines.config.params import load as load_params
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from pipelines.tables.preparation import load_preparation
from serving.log_rows import LogRows
from serving.signature import load

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Production:
    """The predictions of some days after the training rows.

    Attributes:
        rows: the payments with their labels, in order of time.
        scores: of the rows.
        model: the folder of model.onnx and signature.json.
    """

    rows: pa.Table
    scores: Any
    model: Path
    release_id: str

    def lose(self, name: str, every: int) -> Production:
        """Return the same production, in which an input is missing in every so many rows."""
        values = self.rows[name].to_pylist()
        kept = pa.array([None if i % every == 0 else value for i, value in enumerate(values)], self.rows[name].type)
        return replace(self, rows=self.rows.set_column(self.rows.column_names.index(name), name, kept))

    def write_log(self, log: Path, name: str = "part") -> None:
        """Write a file of the log for each day, by the service's code."""
        signature = load(self.model / "signature.json")
        encoder = LogRows(signature, self.release_id, "champion", None)
        times = self.rows["paid_at"].cast(pa.int64()).to_numpy()
        ids = self.rows["payment_id"].to_pylist()
        inputs = [values.tolist() for values in encoded(self.rows, open_scorer(self.model)).values()]
        scores = self.scores.tolist()
        days = times // 86_400
        for day in np.unique(days):
            first, last = np.searchsorted(days, [day, day + 1])
            lines = b"".join(
                encoder.encode(
                    float(times[i]), [ids[i]], [[values[i] for values in inputs]], [scores[i]], 1.0 + i % 7, None
                )
                for i in range(first, last)
            )
            path = log / f"date={date(1970, 1, 1) + int(day) * DAY}" / f"{name}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(lines, 1))

    def write_labels(self, path: Path, down_until: datetime | None = None) -> None:
        """Write the labels by payment, with the time when each became known; none before `down_until`."""
        known_at = self.rows["labelled_at"]
        if down_until is not None:
            earliest = pa.scalar(down_until.replace(tzinfo=None), known_at.type)
            known_at = pc.max_element_wise(known_at, earliest)
        labels = {"request_id": self.rows["payment_id"], "label": self.rows["is_fraud"], "known_at": known_at}
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(labels), path)


def open_scorer(model: Path) -> Scorer:
    """Open the model of a folder."""
    return Scorer(model / "model.onnx", model / "signature.json", threads=1)


def add_days(times: pa.ChunkedArray, days: int) -> pa.ChunkedArray:
    """Move times."""
    return pc.add(times.cast(pa.int64()), days * 86_400).cast(pa.timestamp("s"))


def encoded(rows: pa.Table, scorer: Scorer) -> dict[str, Any]:
    """Return the inputs of the model as its graph reads them."""
    return {item.name: encode(item, rows[item.name].to_numpy(zero_copy_only=False)) for item in scorer.signature.inputs}


def produce(
    spec: Simulator, model: Path, release_id: str, first: int, days: int, shift: int = 0, **changes: Any
) -> Production:
    """Simulate production.

    Args:
        spec: what the training rows were simulated with.
        model: the folder of model.onnx and signature.json, in a repository that prepares the rows.
        first: the first day of production since the start of the simulation.
        days: of production.
        shift: days by which all times are moved; whole weeks.
        changes: `drift_from`, `fraud_change_from`: days since the start of production.
    """
    from examples.fraud.simulator import simulate  # a team deletes it

    total = first + days + 15  # until the last label is known
    moments = {name: spec.start + (first + day) * DAY for name, day in changes.items()}
    longer = spec.model_copy(update={"days": total, "payments": round(spec.payments * total / spec.days), **moments})
    rows = simulate(longer)
    prepared = load_preparation(load_params(model.parent / "params.yaml").table, model.parent).run(rows)
    for name in prepared.column_names:
        rows = rows.append_column(name, prepared[name])
    begin = datetime(spec.start.year, spec.start.month, spec.start.day) + first * DAY
    paid_at = rows["paid_at"]
    rows = rows.filter(pc.and_(pc.greater_equal(paid_at, begin), pc.less(paid_at, begin + days * DAY)))
    for name in ("paid_at", "labelled_at"):
        rows = rows.set_column(rows.column_names.index(name), name, add_days(rows[name], shift))
    scorer = open_scorer(model)
    return Production(rows, scorer.score(encoded(rows, scorer)), model, release_id)
