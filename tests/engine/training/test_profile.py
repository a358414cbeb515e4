import json
from dataclasses import replace

import ibis
import numpy as np
import pyarrow as pa
import pytest

from pipelines.cli.files import write_bytes, write_json
from pipelines.config.params import Params
from pipelines.config.paths import MODEL, PROFILE, SIGNATURE
from pipelines.model.inputs import inputs_of
from pipelines.model.signature import Input
from pipelines.tables.binning import BINS, count_bins
from pipelines.training.profile import main, profile
from pipelines.training.select import draft_signature
from tests.engine.training.conftest import REGRESSION, Prepare, orders, price_model

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


def write_model(params: Params, threshold: float | None) -> None:
    """A model that answers price / 100."""
    draft = draft_signature(params, "logistic", inputs_of(params))
    write_bytes(MODEL, price_model(params, 0.01, 0.0))
    classes = () if threshold is None else ("false", "true")
    write_json(SIGNATURE, replace(draft, threshold=threshold, classes=classes).to_json())


def test_only_training_rows_are_profiled(prepare: Prepare) -> None:
    # Of 40 days the last 5 have no labels yet; 10 are test and 10 validation.
    days = [float(day) for day in range(40)]
    write_model(prepare(orders(days, price=[1.0 if day < 15 else 50.0 for day in days]), {}), 0.5)
    main()
    written = json.loads(PROFILE.read_text())
    assert 10 <= written["rows"] <= 15
    assert max(written["inputs"]["price"]["edges"]) < 50
    assert (written["inputs"]["price"]["min"], written["inputs"]["price"]["max"]) == (1, 1)
    assert written["inputs"]["price"]["variation"] == {}  # too few rows a day


def test_scores_are_those_of_the_validation_rows_and_the_promise_that_of_the_test_rows(prepare: Prepare) -> None:
    days = [float(day) for day in range(40)]
    prices = [10.0 if day < 14 else 20.0 if day < 24 else 90.0 for day in days]
    write_model(prepare(orders(days, price=prices), {}), 0.5)
    main()
    written = json.loads(PROFILE.read_text())
    assert written["score"]["edges"][0] == pytest.approx(0.2) and sum(written["score"]["counts"].values()) == 10
    promise = written["promise"]
    assert 10 <= promise["rows"] <= 11
    assert promise["losses"]["brier"]["largest"] == 1
    assert 0.3 < promise["losses"]["brier"]["mean"] < 0.5  # 0.9 for all, of which half are right
    assert set(promise["losses"]) == {"brier", "log_loss"}


def test_the_promise_of_a_regression_is_clipped_at_a_quantile_of_its_errors(prepare: Prepare) -> None:
    days = [float(day) for day in range(40)]
    params = prepare(orders(days, [float(day % 3) for day in range(40)], [100.0] * 40), {}, **REGRESSION)
    write_model(params, None)
    main()
    loss = json.loads(PROFILE.read_text())["promise"]["losses"]["absolute_error"]
    assert loss["largest"] == pytest.approx(1) and 0 < loss["mean"] <= 1


def test_numbers_of_a_sensitive_input_have_no_smallest_and_largest() -> None:
    inputs = (replace(INPUTS[0], sensitive=True), *INPUTS[1:])
    assert not {"min", "max"} & profile(table([1.0, 2.0, 3.0]), inputs)["inputs"]["amount"].keys()
