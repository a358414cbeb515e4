import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from pipelines.cli.files import write_bytes, write_json
from pipelines.config.params import Params
from pipelines.config.paths import BARS, CARD, CURVES, IMPORTANCE, METRICS, MODEL, SIGNATURE
from pipelines.model import metrics as compute_module
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.tables.rows import Rows
from pipelines.training import evaluate
from pipelines.training.select import draft_signature
from tests.engine.training.conftest import REGRESSION, Prepare, orders, price_model

# The newest row is immature; test begins on day 25. The model answers price / 100.
DAYS = [40.0, 30, 29, 28, 27, 20, 19, 1, 0]
RETURNED = [False, True, False, True, False, False, True, False, True]
PRICES = [99.0, 90, 60, 40, 10, 90, 10, 90, 10]


def export(params: Params, threshold: float | None) -> None:
    draft = draft_signature(params, "logistic", inputs_of(params))
    write_bytes(MODEL, price_model(params, 0.01, 0.0))
    classes = () if threshold is None else ("false", "true")
    write_json(SIGNATURE, replace(draft, threshold=threshold, classes=classes).to_json())


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def bars(name: str) -> dict[str, float]:
    lines = (BARS / f"{name}.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {label.strip('"'): float(value) for label, _, value in (line.rpartition(",") for line in lines)}


def test_metrics_use_the_test_rows_and_the_threshold_of_the_signature(prepare: Prepare) -> None:
    params = prepare(orders(DAYS, RETURNED, PRICES), {})
    export(params, 0.7)
    evaluate.main()
    document = read(METRICS)
    # From 0.7 on stands the order of 90 alone, and it was returned; of four pairs three are in the right order.
    assert document["rows"] == 4
    assert {name: document["test"][name] for name in ("precision", "recall", "roc_auc")} == {
        "precision": 1.0,
        "recall": 0.5,
        "roc_auc": 0.75,
    }
    assert bars("rows_by_outcome") == {
        "positive, caught": 1,
        "positive, missed": 1,
        "negative, flagged": 0,
        "negative, passed": 2,
    }
    assert set(read(IMPORTANCE)) == {"price", "items"}
    assert sorted(path.stem for path in CURVES.iterdir()) == [
        "observed_by_predicted",
        "precision_by_recall",
        "true_by_false_positive_rate",
    ]
    assert "0.75" in CARD.read_text(encoding="utf-8")


def test_a_regression_is_evaluated_too(prepare: Prepare) -> None:
    targets = [0.0, 1.0, 0.6, 0.4, 0.3, 0, 0, 0, 0]
    export(prepare(orders(DAYS, targets, PRICES), {}, **REGRESSION), None)
    evaluate.main()
    # Off by 0.1 at a price of 90 and by 0.2 at 10.
    assert read(METRICS)["test"]["mae"] == pytest.approx(0.3 / 4, rel=1e-5)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_importance_is_the_loss_of_the_metric_when_a_field_is_shuffled(prepare: Prepare, metric: str) -> None:
    params = prepare(orders(DAYS, RETURNED, PRICES), {})
    export(params, 0.5)
    price = np.linspace(1, 99, 200)
    table = pa.table({"price": price, "items": np.arange(200) % 3})
    rows = Rows(table, inputs_of(params), (price > 50).astype(float))
    scorer = Scorer(MODEL, SIGNATURE)
    lost = evaluate.importance(scorer, rows, metric, seed=7)
    assert lost["items"] == 0
    assert lost["price"] > 0.2
    assert lost == evaluate.importance(scorer, rows, metric, seed=7)
    # A perfect order that is shuffled away ranks like chance.
    assert metric != "roc_auc" or lost["price"] == pytest.approx(0.5, abs=0.1)


def test_importance_uses_a_sample_of_many_rows(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    params = prepare(orders(DAYS, RETURNED, PRICES), {})
    export(params, 0.5)
    monkeypatch.setattr(evaluate, "IMPORTANCE_ROWS", 50)
    table = pa.table({"price": np.linspace(1, 99, 200), "items": np.arange(200) % 3})
    rows = Rows(table, inputs_of(params), np.arange(200) % 2.0)
    with mock.patch.object(evaluate, "compute", wraps=compute_module.compute) as compute:
        evaluate.importance(Scorer(MODEL, SIGNATURE), rows, "roc_auc", seed=7)
    assert {len(call.args[1]) for call in compute.call_args_list} == {50}
