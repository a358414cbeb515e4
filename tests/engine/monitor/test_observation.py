"""Counting a window: the same bins as the profile counts, values outside its range, and what never varies."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.model.profile import Profile, Reference
from pipelines.model.signature import Input, Signature
from pipelines.monitor.drift import measure_shifts
from pipelines.monitor.observation import Observation, fold, frequent_bins, observe
from pipelines.predictions.window import LATENCY, SCORE, open_connection
from pipelines.tables.binning import bin_edges, count_bins

ROWS = 150_000  # more than two batches
INPUTS = (
    Input("amount", "number", nullable=True),
    Input("items", "integer"),
    Input("empty", "number", nullable=True),
    Input("same", "number"),
    Input("channel", "category"),
    Input("new", "boolean", nullable=True),
)


def test_the_counts_are_those_of_the_profile_whatever_the_column(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    amount = draw.lognormal(3, 1, ROWS).round(1)
    table = pa.table(
        {
            "amount": pa.array(amount, mask=draw.random(ROWS) < 0.1),
            "items": draw.integers(0, 30, ROWS).astype(float),
            "empty": pa.nulls(ROWS, pa.float64()),
            "same": np.full(ROWS, 7.0),
            "channel": draw.choice(["chip", "online"], ROWS),
            "new": pa.array(draw.random(ROWS) < 0.2, mask=draw.random(ROWS) < 0.05),
            SCORE: draw.random(ROWS),
            LATENCY: draw.random(ROWS),
        }
    )
    pq.write_table(table, tmp_path / "window.parquet")
    window = open_connection().read_parquet(tmp_path / "window.parquet")
    columns = (*INPUTS, Input(SCORE, "number"))
    edges = bin_edges(window, columns)
    assert edges["empty"] == []
    counts = count_bins(window, columns, edges)
    references = {
        name: Reference(counts=counts[name], edges=tuple(edges.get(name, ())), min=1.0, max=100.0) for name in counts
    }
    score = references.pop(SCORE)
    signature = Signature("fraud", "classification", "is_fraud", INPUTS, "probability", "boosting", ("0", "1"), 0.5)
    seen = observe(window, signature, Profile(rows=ROWS, inputs=references, score=score))
    assert seen.rows == ROWS
    assert seen.counts == {item.name: counts[item.name] for item in INPUTS} | {"probability": counts[SCORE]}
    known = table["amount"].drop_null().to_numpy()
    assert seen.outside["amount"] == ((known < 0.99999) | (known > 100.001)).sum() > 0
    assert (seen.outside["same"], seen.outside["empty"]) == (0, 0)
    assert seen.missing["amount"] == table["amount"].null_count and seen.missing["empty"] == ROWS
    assert seen.constant == {"same"}


def test_a_rare_missing_value_is_no_shift_of_a_category_with_many_values() -> None:
    counts = {f"shop {i:03}": 1_000 for i in range(200)} | {"missing": 600}
    folded = fold(counts, frequent_bins(Reference(counts=counts)))
    assert len(folded) == 52 and folded["missing"] == 600
    seen = Observation(sum(counts.values()), {"shop": folded}, {}, {}, {}, frozenset(), {})
    for reference in (counts, folded):  # of the profile, and of an acknowledged pass
        (shift,) = measure_shifts(seen, {"shop": Reference(counts=reference)}, 7, 0.0)
        assert shift.psi == 0 and shift.p_value > 0.99
