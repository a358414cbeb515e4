"""The slices of params.yaml as masks of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.gates import SliceBy
from pipelines.config.table_schema import Column
from pipelines.tables.data import to_numpy

MAX_VALUES = 50


def masks(arrow: Any, name: str, by: SliceBy, column: Column) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The slices of an entry of `slices.by`: label and mask of the rows, shape (n,).

    Without values and range, each of the 50 most frequent values of the column is a slice.
    """
    values = to_numpy(arrow, by.column)
    if by.low is not None or by.high is not None:
        low = -np.inf if by.low is None else by.low
        high = np.inf if by.high is None else by.high
        yield name, (values >= low) & (values < high)
        return
    texts = to_texts(values)
    if by.values is not None:
        yield name, np.isin(texts, by.values)
        return
    for label, value in group_labels(texts, column).items():
        yield f"{name}={label}", texts == value


def group_labels(texts: npt.NDArray[np.str_], column: Column) -> dict[str, str]:
    """Label -> value of the 50 most frequent values, in the order of the labels.

    A sensitive column's values that params.yaml does not declare are numbered, the most frequent first: no report
    names them.
    """
    distinct, counts = np.unique(texts, return_counts=True)
    frequent = distinct[np.argsort(-counts, kind="stable")[:MAX_VALUES]].tolist()
    if not column.sensitive:
        return {value: value for value in sorted(frequent)}
    declared = ["missing", *(column.allowed or ()), *(("true", "false") if column.type == "boolean" else ())]
    labels = {value: value for value in sorted(frequent) if value in declared}
    undeclared = [value for value in frequent if value not in declared]
    return labels | {f"group {i}": value for i, value in enumerate(undeclared, start=1)}


def to_texts(values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """The values of a category or boolean column as texts; null is `missing`."""
    if values.dtype == object:
        return np.array(["missing" if value is None else str(value) for value in values])
    # A boolean column is read as 0, 1 and NaN.
    return np.where(np.isnan(values), "missing", np.where(values == 1, "true", "false"))
