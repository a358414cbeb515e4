"""The small schema with two inputs, rows placed by hand, and a folder in which stages run on them in this process."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.files import write_bytes, write_text
from pipelines.config.params import Params, parse
from pipelines.config.paths import CANDIDATES, PREPARED
from pipelines.config.read import PATH
from pipelines.model import features
from pipelines.training import split
from tests.engine.fixtures_model import SMALL
from tests.engine.fixtures_repo import merge

START = datetime(2026, 1, 1)
CHANGES: dict[str, Any] = {
    "schema": {"label_delay_days": 5},
    "split": {"test_days": 10, "validation_days": 10},
    "features": {"use": ["price", "items"], "derive": None},
}
BY_HASH: dict[str, Any] = {"by": "hash", "salt": "s", "test": 0.3, "validation": 0.3}
BY_HASH |= {"test_days": None, "validation_days": None}
REGRESSION: dict[str, Any] = {
    "task": "regression",
    "schema": {"positive": None, "columns": {"returned": {"type": "number"}}},
    "selection": {"metric": "mae"},
    "gates": {"headline": "mae", "floors": {"roc_auc": None}, "regression": {"roc_auc": None}},
    "slices": {"metric": "mae"},
}
Prepare = Callable[..., Params]


def small_params(**changes: Any) -> Params:
    """A problem whose labels mature in 5 days; of the matured rows 10 days are test and the 10 before validation."""
    document = yaml.safe_load(SMALL)
    for change in (CHANGES, changes):
        merge(document, change)
    return parse(yaml.safe_dump(document, sort_keys=False))


def orders(days: Sequence[float], returned: Sequence[Any] | None = None, price: Sequence[float] = ()) -> pa.Table:
    """One order a moment, in days from the start; by default every second one is returned."""
    rows = len(days)
    return pa.table(
        {
            "order_id": [f"o{i}" for i in range(rows)],
            "ordered_at": pa.array([START + timedelta(hours=round(day * 24)) for day in days], pa.timestamp("ms")),
            "returned": [i % 2 == 1 for i in range(rows)] if returned is None else returned,
            "price": pa.array(price or [1.0] * rows, pa.float64()),
            "items": pa.array([1 + i % 3 for i in range(rows)], pa.int64()),
        }
    )


def price_model(params: Params, scale: float, shift: float) -> bytes:
    """A graph that answers price * scale + shift."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    answer = "probability" if params.task == "classification" else "value"
    nodes = [("Mul", ["price", "scale"], ["scaled"]), ("Add", ["scaled", "shift"], [answer])]
    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "price",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name in params.inputs],
        [helper.make_tensor_value_info(answer, kind, [None, 1])],
        [helper.make_tensor(name, kind, [1], [value]) for name, value in (("scale", scale), ("shift", shift))],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in features.OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=features.IR_VERSION)
    return bytes(model.SerializeToString())


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Write params, data, the split of them, and each candidate as the scale and shift of its price model."""
    monkeypatch.chdir(tmp_path)

    def written(table: pa.Table, candidates: dict[str, tuple[float, float]], /, **changes: Any) -> Params:
        params = small_params(**changes)
        write_text(PATH, yaml.safe_dump(params.model_dump(mode="json", by_alias=True), sort_keys=False))
        PREPARED.mkdir()
        pq.write_table(table, PREPARED / "rows.parquet")
        for name, (scale, shift) in candidates.items():
            write_bytes(CANDIDATES / f"{name}.onnx", price_model(params, scale, shift))
        split.main()
        return params

    return written
