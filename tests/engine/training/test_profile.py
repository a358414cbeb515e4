from __future__ import annotations

import json

import ibis
import numpy as np
import pyarrow as pa

from pipelines.config.paths import PROFILE
from pipelines.model.signature import Input
from pipelines.tables.binning import BINS, count_bins
from pipelines.training.profile import main, profile
from tests.engine.training.conftest import Prepare, orders

INPUTS = (
    Input("amount", "number", nullable=True),
    Input("channel", "category", nullable=True),
    Input("at", "timestamp"),
    Input("flag", "boolean", nullable=True),
)


def table(amounts: list[float | None]) -> ibis.Table:
    rows = len(amounts)
    return ibis.memtable(
        pa.table(
            {
                "amount": pa.array(amounts, pa.float64()),
                "channel": pa.array([("chip", "online", None)[i % 3] for i in range(rows)]),
                "at": pa.array([i * 3_600_000 for i in range(rows)], pa.timestamp("ms")),
                "flag": pa.array([(True, False, None)[i % 3] for i in range(rows)]),
            }
        )
    )


def test_every_row_is_in_one_bin_of_every_input() -> None:
    document = profile(table([None, *map(float, range(99))]), INPUTS)
    assert document["rows"] == 100
    assert {sum(entry["counts"].values()) for entry in document["inputs"].values()} == {100}
    assert document["inputs"]["amount"]["counts"]["missing"] == 1
    assert set(document["inputs"]["channel"]["counts"]) == {"chip", "online", "missing"}
    assert set(document["inputs"]["flag"]["counts"]) == {"0", "1", "missing"}


def test_bin_counts_agree_with_numpy() -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 500).round(2)
    document = profile(table(values.tolist()), INPUTS)["inputs"]["amount"]
    edges = document["edges"]
    assert len(edges) == BINS - 1
    plain = np.bincount(np.searchsorted(edges, values, side="left"), minlength=BINS)
    assert [document["counts"].get(str(i), 0) for i in range(BINS)] == plain.tolist()


def test_a_column_of_one_value_has_one_edge() -> None:
    document = profile(table([5.0] * 30), INPUTS)["inputs"]["amount"]
    assert document["edges"] == [5.0]
    assert document["counts"] == {"0": 30}


def test_the_edges_of_one_table_can_count_another() -> None:
    edges = {"amount": [10.0, 20.0]}
    assert count_bins(table([5.0, 15.0, 25.0]), INPUTS, edges)["amount"] == {"0": 1, "1": 1, "2": 1}


def test_only_training_rows_are_profiled(prepare: Prepare) -> None:
    # Of 40 days the last 5 have no labels yet; 10 are test and 10 validation.
    days = [float(day) for day in range(40)]
    prepare(orders(days, price=[1.0 if day < 15 else 1000.0 for day in days]), {})
    main()
    written = json.loads(PROFILE.read_text())
    assert 10 <= written["rows"] <= 15
    assert max(written["inputs"]["price"]["edges"]) < 1000
