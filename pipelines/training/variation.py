"""How much a column varies by nature: the PSI between windows of some days each of the training rows.

The monitor tolerates so much before it calls a window of production shifted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.model.signature import Input
from pipelines.tables.binning import bin_of

DAYS = (1, 7, 28)
MIN_WINDOWS = 4
MIN_ROWS = 500
MIN_EXPECTED = 5  # rows of a bin in a window; rarer bins are counted together
BINS = 50  # of a category with more values, the most frequent ones
_EXCEEDED = 1 / 4_000  # share of windows that vary more than the tolerance
_COLD_START = 5

Floats = npt.NDArray[np.float64]


def day_of(table: ir.Table, event_time: str) -> ir.IntegerValue:
    """Return the number of the day of each row, in days since 1970."""
    day: ir.IntegerValue = (table[event_time].cast("timestamp").epoch_seconds() // 86_400).cast("int64")
    return day


def count_days(table: ir.Table, item: Input, edges: list[float], counts: Mapping[str, int], event_time: str) -> Floats:
    """Count the rows of each day and bin of an input.

    Args:
        counts: bin -> rows of the whole table.

    Returns:
        Shape (days, bins), with a row for each day from the first to the last.
    """
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:BINS]
    value = bin_of(table, item, edges).cast("string").fill_null("missing")
    shown = ibis.ifelse(value.isin(frequent), value, None) if len(counts) > BINS else value
    rows = (
        table.group_by(day=day_of(table, event_time), bin=shown).aggregate(rows=ibis._.count()).to_pyarrow().to_pylist()
    )
    first = min(row["day"] for row in rows)
    counted = np.zeros((max(row["day"] for row in rows) - first + 1, len(frequent) + 1))
    columns = {name: i for i, name in enumerate(frequent)}
    for row in rows:
        counted[row["day"] - first, columns.get(row["bin"], len(frequent))] += row["rows"]
    return counted


def natural_variation(days: Floats, lengths: Collection[int] = DAYS) -> dict[str, float]:
    """Return number of days -> PSI that windows of so many days do not exceed, but for one in thousands.

    A window's distance from all other windows is Pearson's chi-square per row, less what sampling explains. A further
    window's distance over the mean one is taken as F-distributed, with the degrees of freedom that the scatter of the
    distances shows (Satterthwaite): few where all bins move together, many where each moves by itself.

    Args:
        days: rows of each day and bin, of shape (days, bins). The first and the last day may be incomplete.

    Returns:
        An entry for each length of which there are at least 4 windows with 500 rows.
    """
    variation = {}
    for length in lengths:
        whole = days[1:-1]
        number = len(whole) // length
        if number < MIN_WINDOWS:
            continue
        windows = whole[len(whole) - number * length :].reshape(number, length, -1).sum(axis=1)
        windows = windows[windows.sum(axis=1) >= MIN_ROWS]
        if len(windows) >= MIN_WINDOWS:
            variation[str(length)] = _upper_bound(windows)
    return variation


def _upper_bound(windows: Floats) -> float:
    from scipy.stats import f

    windows = _pooled(windows)
    bins = windows.shape[1]
    if bins < 2:
        return 0.0
    rows = windows.sum(axis=1)
    others = windows.sum(axis=0) - windows
    shares = windows.sum(axis=0) / rows.sum()
    squares = (windows / rows[:, None] - others / others.sum(axis=1)[:, None]) ** 2
    scale = 1 / rows + 1 / (rows.sum() - rows)
    distances = (squares / shares).sum(axis=1) - (bins - 1) * scale
    start = _settled(distances)
    distances, scale = distances[start:], scale[start:]
    mean = float(distances.mean())
    if mean <= 0:
        return 0.0
    sampling = float((2 * (bins - 1) * scale**2 + 4 * mean * scale).mean())
    scatter = max(float(distances.var(ddof=1)) - sampling, 1e-12)
    freedom = min(max(2 * mean**2 / scatter, 1.0), bins - 1.0)
    return mean * float(f.isf(_EXCEEDED, freedom, freedom * len(distances)))


def _settled(distances: Floats) -> int:
    """Return the first window that is not part of a cold start, in which counters over the past are still empty.

    Those are the windows at the beginning that are much further away than any of the second half.
    """
    half = len(distances) // 2
    usual = distances <= _COLD_START * max(float(distances[half:].max()), 0.0)
    return int(np.argmax(usual[:half])) if usual[:half].any() else half


def _pooled(windows: Floats) -> Floats:
    """Count the bins together of which a window has few rows."""
    rare = windows.mean(axis=0) < MIN_EXPECTED
    pooled = np.column_stack([windows[:, ~rare], windows[:, rare].sum(axis=1)])
    return pooled[:, pooled.any(axis=0)]
