"""What a pass counts in the window's table: rows of each bin, values outside the training rows' range, latency."""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.model.profile import Profile, Reference
from pipelines.model.signature import Input, Signature
from pipelines.predictions.window import LATENCY, SCORE
from pipelines.tables.binning import bin_of

QUANTILES = ("0.5", "0.95", "0.99")
BINS = 50  # of a category; its rarer and its new values are one bin
OTHER = "other values"
_MAX_VALUES = 1_000  # of a category whose new values are counted
_NUMBERS = ("number", "integer")
_BATCH_ROWS = 65_536  # which fit into the cache of a core, column by column
_ROUNDING = 1e-5  # the profile has six digits


@dataclass(frozen=True)
class Observation:
    """The counts of a window.

    Attributes:
        counts: name -> bin -> rows, of every input that is not hashed, and of the score by the name of the output.
        missing: input -> rows without a value.
        new_values: category -> rows with a value that no training row has.
        outside: numeric input -> rows below the smallest or above the largest number of the training rows.
        constant: inputs with the same value in all rows.
        latency_ms: quantile -> milliseconds.
    """

    rows: int
    counts: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]
    new_values: Mapping[str, int]
    outside: Mapping[str, int]
    constant: frozenset[str]
    latency_ms: Mapping[str, float]


def observe(table: ir.Table, signature: Signature, profile: Profile) -> Observation:
    """Count a window's rows, with one scan for all numbers and one for each other input."""
    watched = [item for item in signature.inputs if not item.sensitive and item.name in profile.inputs]
    references = {item.name: profile.inputs[item.name] for item in watched if item.type in _NUMBERS}
    if profile.score:
        references[SCORE] = profile.score
    numbers = _count_numbers(table, references)
    rows, missing = _count_missing(table, [item.name for item in signature.inputs if item not in watched])
    counts = {name: item.bins for name, item in numbers.items()}
    counts |= _count(table, [item for item in watched if item.type not in _NUMBERS])
    missing |= {item.name: counts[item.name].get("missing", 0) for item in watched}
    new_values = {}
    for item in watched:
        if item.type == "category":
            reference, bins = profile.inputs[item.name], counts[item.name]
            if len(reference.counts) < _MAX_VALUES:
                new_values[item.name] = sum(bins[name] for name in bins if name not in reference.counts)
            counts[item.name] = fold(bins, frequent_bins(reference), rows)
    if profile.score:
        counts[signature.output] = counts.pop(SCORE)
    constant = {item.name for item in watched if rows and _is_constant(table, item, counts[item.name], numbers)}
    outside = {item.name: numbers[item.name].outside for item in watched if item.name in numbers}
    outside = {name: outside[name] for name in outside if references[name].min is not None}
    return Observation(rows, counts, missing, new_values, outside, frozenset(constant), _latency(table))


@dataclass
class _Numbers:
    """The counts of a numeric column.

    Attributes:
        up_to: rows up to each edge.
        outside: rows below the smallest or above the largest number of the reference.
    """

    up_to: npt.NDArray[np.int64]
    rows: int = 0
    missing: int = 0
    outside: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    @property
    def bins(self) -> dict[str, int]:
        """Bin -> rows: bin i holds the numbers above edge i - 1 and up to edge i."""
        counts = np.diff(self.up_to, prepend=0, append=self.rows).tolist()
        named = {"missing": self.missing} | {str(i): rows for i, rows in enumerate(counts)}
        return {name: rows for name, rows in named.items() if rows}

    def add(self, values: npt.NDArray[np.float64], reference: Reference) -> None:
        """Count some values; to compare them with each edge is faster than a search among the edges."""
        self.rows += len(values)
        self.up_to += np.array([np.count_nonzero(values <= edge) for edge in reference.edges], np.int64)
        if not len(values):
            return
        lowest, highest = float(values.min()), float(values.max())
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        if reference.min is None or reference.max is None:
            return
        low, high = (end + sign * _ROUNDING * abs(end) for end, sign in ((reference.min, -1), (reference.max, 1)))
        if lowest < low or highest > high:
            self.outside += int(np.count_nonzero((values < low) | (values > high)))


def _count_numbers(table: ir.Table, references: Mapping[str, Reference]) -> dict[str, _Numbers]:
    counts = {name: _Numbers(np.zeros(len(reference.edges), np.int64)) for name, reference in references.items()}
    if not references:
        return counts
    # Positions as names: the engine does not tell `Amount` from `amount`.
    columns = {f"c{i}": table[name].cast("float64") for i, name in enumerate(references)}
    backend: Any = table.get_backend()
    # Ibis's to_pyarrow_batches calls a method that DuckDB 2 lacks; `execute`, as raw_sql does, would hold all rows.
    for batch in backend.con.sql(ibis.to_sql(table.select(**columns))).to_arrow_reader(_BATCH_ROWS):
        for column, (name, reference) in zip(batch.columns, references.items(), strict=True):
            counts[name].missing += column.null_count
            counts[name].add(column.drop_null().to_numpy(zero_copy_only=False), reference)
    return counts


def _count(table: ir.Table, inputs: Sequence[Input]) -> dict[str, dict[str, int]]:
    """Return the rows of each bin of inputs that are no numbers; of a category at most 1,000 bins."""
    parts = []
    for item in inputs:
        grouped = table.group_by(bin=bin_of(table, item, [])).aggregate(rows=ibis._.count())
        if item.type == "category":
            grouped = grouped.order_by(ibis.desc("rows"), "bin").limit(_MAX_VALUES)
        named = grouped.mutate(bin=grouped.bin.fill_null("missing"), input=ibis.literal(item.name))
        parts.append(named.select("input", "bin", "rows"))
    counts: dict[str, dict[str, int]] = {item.name: {} for item in inputs}
    for row in ibis.union(*parts).to_pyarrow().to_pylist() if parts else []:
        bins = counts[row["input"]]
        bins[row["bin"]] = bins.get(row["bin"], 0) + row["rows"]
    return counts


def _count_missing(table: ir.Table, names: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Return the rows, and those without a value of each of these columns."""
    counts = {f"c{i}": table[name].count() for i, name in enumerate(names)}
    row = table.aggregate(rows=table.count(), **counts).to_pyarrow().to_pylist()[0]
    return row["rows"], {name: row["rows"] - row[f"c{i}"] for i, name in enumerate(names)}


def _latency(table: ir.Table) -> dict[str, float]:
    """Return the quantiles of the latency in tenths of a millisecond, so that few numbers are held in memory."""
    rounded = table.filter(table[LATENCY].abs() < math.inf).group_by(milliseconds=table[LATENCY].round(1))
    counted = rounded.aggregate(rows=ibis._.count()).order_by("milliseconds").to_pyarrow().to_pydict()
    up_to = list(accumulate(counted["rows"]))
    return {
        share: float(counted["milliseconds"][bisect_left(up_to, float(share) * up_to[-1])])
        for share in QUANTILES
        if up_to
    }


def _is_constant(table: ir.Table, item: Input, counts: Mapping[str, int], numbers: Mapping[str, _Numbers]) -> bool:
    if counts.get("missing"):
        return False  # which a check of its own judges
    if item.name in numbers:
        return numbers[item.name].lowest == numbers[item.name].highest
    if len(counts) > 1 or item.type != "timestamp":
        return len(counts) == 1
    return bool((table[item.name].min() == table[item.name].max()).execute())  # its bins are hours


def frequent_bins(reference: Reference) -> list[str]:
    """Return the 50 bins with most rows, besides those that are always kept: folded counts are not folded again."""
    named = reference.counts.keys() - {"missing", OTHER}
    return sorted(named, key=lambda name: (-reference.counts[name], name))[:BINS]


def fold(counts: Mapping[str, int], bins: Collection[str], rows: int | None = None) -> dict[str, int]:
    """Return the rows of these bins and of missing values; all others are in the bin `other values`.

    Args:
        rows: in all, if `counts` does not hold every bin.
    """
    kept = {"missing", OTHER, *bins}
    folded = {name: counts[name] for name in counts if name in kept}
    if others := (sum(counts.values()) if rows is None else rows) - sum(folded.values()):
        folded[OTHER] = folded.get(OTHER, 0) + others
    return folded
