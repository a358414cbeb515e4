"""Slices: the metric on parts of the test rows, judged from a minimum support."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.gates import SliceBy
from pipelines.config.params import Params
from pipelines.metrics.bootstrap import interval, paired_bootstrap
from pipelines.metrics.table import METRICS, gain, is_better
from pipelines.review.compare import Compared
from pipelines.review.findings import Gate, SliceRow
from pipelines.tables.data import to_numpy

SHOWN_VALUES = 50


def masks(arrow: Any, name: str, by: SliceBy) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The slices of one entry of params.yaml: name -> rows, shape (n,).

    Without values and range, each of the (at most 50 most frequent) values of the column is a slice.
    """
    values = to_numpy(arrow, by.column)
    if by.low is not None or by.high is not None:
        low = -np.inf if by.low is None else by.low
        high = np.inf if by.high is None else by.high
        yield name, (values >= low) & (values < high)
        return
    words = _words(values)
    if by.values is not None:
        yield name, np.isin(words, by.values)
        return
    found, counts = np.unique(words, return_counts=True)
    for word in sorted(found[np.argsort(-counts, kind="stable")[:SHOWN_VALUES]]):
        yield f"{name}={word}", words == word


def _words(values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    if values.dtype == object:
        return np.array(["missing" if value is None else str(value) for value in values])
    # A boolean comes as 0, 1 and NaN.
    return np.where(np.isnan(values), "missing", np.where(values == 1, "true", "false"))


def slice_rows(compared: Compared, params: Params) -> tuple[SliceRow, ...]:
    """Judge every slice of params.yaml.

    A slice fails when its whole 95 % interval lies beyond the tolerance, or below the floor: few rows alone never
    fail it, and too few are said and not judged.
    """
    rows = []
    for name, by in params.slices.by.items():
        for label, mask in masks(compared.arrow, name, by):
            # A sensitive column's values are rows' values; without them the group would name people.
            shown = label if by.column not in params.table.sensitive else _declared(label, by.column, params)
            rows.append(_row(shown, compared.only(mask), params))
    return tuple(rows)


def _declared(label: str, column: str, params: Params) -> str:
    """The label if its value stands in params.yaml anyway, else masked."""
    name, _, word = label.partition("=")
    allowed = params.table.columns[column].allowed or ("true", "false", "missing")
    return label if not word or word in allowed else f"{name}=•••"


def _row(name: str, part: Compared, params: Params) -> SliceRow:
    limits = params.slices
    support = len(part.target)
    positives = int(part.target.sum()) if part.task == "classification" else None
    lacks = _lacks(support, positives, params)
    if lacks:
        return SliceRow(name, support, positives, *_values(part, limits.metric), None, None, None, lacks)
    value, base = _values(part, limits.metric)
    drawn = paired_bootstrap(part.weighted(), support, params.gates.resamples, params.gates.seed, only=[limits.metric])
    faults = []
    low = high = None
    if base is not None:
        low, high = interval(drawn[0][limits.metric] - drawn[1][limits.metric])
        best = max(gain(limits.metric, low), gain(limits.metric, high))
        if best < -limits.tolerance:
            faults.append(f"worse than main by more than {limits.tolerance:g} over its whole interval")
    if limits.floor is not None:
        own = interval(drawn[0][limits.metric])
        bound = min(own) if METRICS[limits.metric].lower_is_better else max(own)
        if is_better(limits.metric, limits.floor, bound):
            faults.append(f"its whole interval misses the floor of {limits.floor:g}")
    return SliceRow(name, support, positives, value, base, low, high, not faults, " and ".join(faults))


def _lacks(support: int, positives: int | None, params: Params) -> str:
    limits = params.slices
    if support < limits.min_support:
        return f"{support} rows, too few to judge (slices.min_support is {limits.min_support})"
    if positives is not None:
        count, name = min((positives, "positives"), (support - positives, "negatives"))
        if count < max(limits.min_positives, 1):
            return f"{count} {name}, too few to judge (slices.min_positives is {limits.min_positives})"
    return ""


def _values(part: Compared, metric: str) -> tuple[float | None, float | None]:
    """The metric of head and base on the rows; None where it is not defined or there is no base."""
    if not len(part.target):
        return None, None
    found = [float(model(np.ones((1, len(part.target))))[metric][0]) for model in part.weighted()]
    known = [None if np.isnan(value) else value for value in found]
    return known[0], known[1] if len(known) > 1 else None


def slice_gates(rows: tuple[SliceRow, ...], params: Params) -> list[Gate]:
    """A gate for each slice that was judged."""
    metric = params.slices.metric
    gates = []
    for row in rows:
        if row.passed is None:
            continue
        against = "" if row.base is None else f" against {row.base:.3f} on main"
        why = f"{metric} {row.value:.3f}{against} on {row.support:,} rows" + (f": {row.note}" if row.note else "")
        gates.append(Gate(f"slice {row.name}", "slices", row.passed, row.value, params.slices.floor, why))
    return gates
