import json
from datetime import datetime
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_json
from pipelines.config.paths import CANDIDATES, MODEL, SELECTION, SIGNATURE
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input
from pipelines.tables.rows import Rows
from pipelines.training import export
from tests.engine.training.conftest import BY_HASH, REGRESSION, Prepare, orders, small_params

# The newest row is immature. Test (from day 25) has its classes apart between prices 60 and 80, validation (from day
# 15) between 30 and 50, training between 10 and 20.
DAYS = [40.0, 30, 29, 28, 27, 20, 19, 18, 17, 1, 0]
RETURNED = [True, True, False, True, False, True, False, True, False, True, False]
PRICES = [99.0, 90, 60, 80, 50, 70, 30, 50, 10, 20, 10]
CANDIDATE = {"logistic": (0.01, 0.0)}


def signature() -> dict[str, Any]:
    write_json(SELECTION, {"winner": "logistic"})
    export.main()
    document: dict[str, Any] = json.loads(SIGNATURE.read_text(encoding="utf-8"))
    return document


def test_the_signature_of_a_classification_by_time(prepare: Prepare) -> None:
    params = prepare(orders(DAYS, RETURNED, PRICES), CANDIDATE)
    assert signature() == {
        "model_name": "orders",
        "task": "classification",
        "target": "returned",
        "candidate": "logistic",
        "inputs": [
            {"name": "price", "type": "number", "nullable": False, "min": 0, "max": 1000},
            {"name": "items", "type": "integer", "nullable": False, "min": 1, "max": 50},
        ],
        "output": "probability",
        "classes": ["false", "true"],
        "threshold": 0.4,  # in the middle of the validation rows' gap
        "trained_until": "2026-01-26T00:00:00+00:00",  # day 25: the validation rows chose the threshold
        "example": {"price": 40.0, "items": 2},  # medians of 70, 30, 50, 10 and of 3, 1, 2, 3
    }
    assert Scorer(MODEL, SIGNATURE).score({"price": np.array([25], "f4"), "items": np.array([1], "f4")}) == [0.25]
    properties = {entry.key: entry.value for entry in onnx.load(MODEL).metadata_props}
    assert properties == {"model_name": params.model_name, "task": "classification", "candidate": "logistic"}


def test_the_signature_holds_a_split_by_hash_without_its_counts(prepare: Prepare) -> None:
    prepare(orders([0.0] * 60), CANDIDATE, split=BY_HASH | {"column": "order_id"})
    document = signature()
    assert document["split"] == {"by": "hash", "salt": "s", "column": "order_id", "test": 0.3, "validation": 0.3}
    assert "trained_until" not in document


def test_a_regression_has_neither_classes_nor_threshold(prepare: Prepare) -> None:
    prepare(orders(DAYS, [1.5] * len(DAYS), PRICES), CANDIDATE, **REGRESSION)
    document = signature()
    assert document["output"] == "value"
    assert not {"classes", "threshold"} & set(document)


def test_a_winner_without_a_file_is_named(prepare: Prepare) -> None:
    prepare(orders(DAYS, RETURNED, PRICES), {})
    with pytest.raises(InputError, match=f"{CANDIDATES}/logistic.onnx is missing"):
        signature()


@pytest.mark.parametrize(
    ("column", "positive", "expected"),
    [
        ({"type": "boolean"}, "true", ("false", "true")),
        ({"type": "boolean"}, "false", ("true", "false")),
        ({"type": "integer"}, "1", ("0", "1")),
        ({"type": "category", "allowed": ["kept", "back"]}, "kept", ("back", "kept")),
        ({"type": "category", "allowed": ["kept", "back", "lost"]}, "lost", ("other", "lost")),
    ],
)
def test_the_positive_class_is_the_last(column: dict[str, Any], positive: str, expected: tuple[str, str]) -> None:
    params = small_params(schema={"positive": positive, "columns": {"returned": column | {"nullable": True}}})
    assert export.classes_of(params) == expected


def test_the_example_has_medians_and_frequent_values_but_no_sensitive_value() -> None:
    columns: dict[Input, tuple[list[Any], Any]] = {
        Input("price", "number"): ([1.0, 2.0, 9.0], 2.0),
        Input("weight", "number", nullable=True): ([None, 4.0, 8.0], 6.0),
        Input("empty", "number", nullable=True, max=7): ([None, None, None], 7),
        Input("items", "integer"): ([1, 2, 9], 2),
        Input("gift", "boolean"): ([True, True, False], True),
        Input("at", "timestamp"): ([datetime(2026, 1, day) for day in (1, 2, 9)], "2026-01-02T00:00:00Z"),
        Input("shop", "category", nullable=True): (["web", "city", "web"], "web"),
        Input("often_missing", "category", nullable=True): ([None, "city", None], None),
        Input("region", "category", allowed=("north", "south"), sensitive=True): (["south"] * 3, "north"),
        Input("trade", "category", sensitive=True): (["baker"] * 3, "unknown"),
        Input("age", "integer", min=18, sensitive=True): ([44] * 3, 18),
        Input("income", "number", sensitive=True): ([5000.0] * 3, 0),
        Input("debt", "number", nullable=True, sensitive=True): ([70.0] * 3, None),
        Input("born", "timestamp", sensitive=True): ([datetime(1980, 5, 5)] * 3, "1970-01-01T00:00:00Z"),
    }
    table = pa.table({item.name: values for item, (values, _) in columns.items()})
    rows = Rows(table, tuple(columns), np.zeros(3))
    assert export.example_row(rows, tuple(columns)) == {item.name: value for item, (_, value) in columns.items()}
