"""The peer in scoring: the same model in scikit-learn, as a tutorial would write it, on pandas DataFrames."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.timing import THREADS, Show, threadpool_limits
from pipelines.config.params import Params, load
from pipelines.config.paths import PREPARED, SPLIT
from pipelines.tables.data import connect, read_rows
from pipelines.tables.split import Side, load_split, rows_on_side

ALIKE = 1e-3  # the graph's thresholds are float32, so a few rows differ by more


@cache
def fitted(root: Path, show: Show) -> Any:
    """The pipeline, fitted on the training rows of the problem at `root`."""
    show("Fitting scikit-learn's pipeline")
    params = load(root / "params.yaml")
    rows = _side(root, params, "train").to_pyarrow()
    with threadpool_limits(THREADS):
        return pipeline(params).fit(frame(rows), rows[params.table.target].to_numpy())


def test_rows(root: Path, rows: int) -> Any:
    """The first `rows` test rows of the problem at `root`, as an Arrow table."""
    return _side(root, load(root / "params.yaml"), "test").limit(rows).to_pyarrow()


def any_rows(root: Path, rows: int) -> Any:
    """As many rows of the problem at `root`, of whatever side, as an Arrow table."""
    table = read_rows(connect(), root / PREPARED).limit(rows).to_pyarrow()
    assert table.num_rows == rows
    return table


def _side(root: Path, params: Params, name: Side) -> Any:
    table = read_rows(connect(), root / PREPARED)
    return rows_on_side(table, params, load_split(root / SPLIT), name)


def pipeline(params: Params) -> Any:
    """An unfitted pipeline from raw columns to the probability, with the candidate `boosting` and its features."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    columns = params.table.columns
    categories = [name for name in params.features.use if columns[name].type == "category"]
    numbers = [name for name in params.features.use if columns[name].type != "category"]
    derived = [
        (name, FunctionTransformer(_FUNCTIONS[item.op]), [item.of, item.to] if item.to else [item.of])
        for name, item in params.features.derive.items()
    ]
    features = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
            ("numbers", "passthrough", numbers),
            *derived,
        ]
    )
    return Pipeline(
        [("features", features), ("model", HistGradientBoostingClassifier(**params.candidates["boosting"].params))]
    )


def frame(table: Any) -> Any:
    """The rows of an Arrow table as a DataFrame; booleans with missing ones as 0, 1 and NaN."""
    rows = table.to_pandas()
    for field in table.schema:
        if str(field.type) == "bool":
            rows[field.name] = rows[field.name].astype(float)
    return rows


def _ratio(rows: Any) -> Any:
    of, to = rows.iloc[:, 0], rows.iloc[:, 1]
    return (of / to.where(to > 1e-6)).to_frame()


_FUNCTIONS: dict[str, Any] = {
    "log1p": np.log1p,
    "hour": lambda rows: rows.apply(lambda column: column.dt.hour),
    "weekday": lambda rows: rows.apply(lambda column: column.dt.weekday),
    "is_weekend": lambda rows: rows.apply(lambda column: column.dt.weekday >= 5),
    "ratio": _ratio,
    "differs": lambda rows: (rows.iloc[:, 0] != rows.iloc[:, 1]).to_frame(),
}
