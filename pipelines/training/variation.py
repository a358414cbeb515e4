"""How much a column varies by nature: the PSI between windows of some days each of the training rows.

The monitor tolerates so much before it calls a window of production shifted.
"""

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
_UNSURE = 1
_LARGEST = 12  # times the largest distance of all windows; a trend would give a bound far beyond

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
    window's distance over the mean one is taken as F-distributed (Satterthwaite): with few degrees of freedom where all
    bins move together, with many where each moves by itself. bench/watch.py simulates the false alarms that follow.

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
    scale = 1 / rows + 1 / (rows.sum() - rows)  # of the sampling noise
    squares = (windows / rows[:, None] - others / others.sum(axis=1)[:, None]) ** 2
    distances = (squares / shares).sum(axis=1) - (bins - 1) * scale
    start = _settled(distances)
    distances, scale = distances[start:], scale[start:]
    # Noise can hide all of the variation: one standard error more, and the fewer degrees of freedom the less is seen.
    error = float(np.sqrt(2 * (bins - 1) * (scale**2).mean() / len(scale)))
    seen = max(float(distances.mean()), 0.0)
    points = windows[start:] / rows[start:, None] / np.sqrt(shares)
    freedom = _degrees_of_freedom(points, float((1 / rows[start:]).mean()))
    freedom = max(freedom * seen / (seen + _UNSURE * error), 1.0)
    bound = (seen + error) * float(f.isf(_EXCEEDED, freedom, freedom * len(distances)))
    return min(bound, _LARGEST * (max(float(distances.max()), 0.0) + error))


def _degrees_of_freedom(points: Floats, noise: float) -> float:
    """Return half of (trace of the covariance)^2 / trace of its square, without sampling noise, and 1 at least.

    Half, because a few windows show too little of the covariance, and too many degrees of freedom mean false alarms.

    Args:
        points: shares of each window, divided by the root of their expectations, of shape (windows, bins).
        noise: variance of each bin by sampling.
    """
    number, bins = points.shape
    if number < MIN_WINDOWS:
        return 1.0
    centred = (points - points.mean(axis=0)) * np.sqrt(number / (number - 1))
    products = centred @ centred.T
    diagonal = float(np.diag(products).mean())
    # Products of different windows estimate the trace of the square without the bias that those of one window have.
    others = float((products**2).sum() - (np.diag(products) ** 2).sum()) / (number * (number - 1))
    trace = max(diagonal - (bins - 1) * noise, 1e-12)
    square = others - (diagonal / (number - 1)) ** 2 - 2 * noise * trace - noise**2 * (bins - 1)
    return float(max(trace**2 / max(square, trace**2 / (bins - 1)) / 2, 1.0))


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
