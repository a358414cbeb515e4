"""What a pass counts in the window's table: rows of each bin, values outside the training rows' range, latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from pipelines.model.signature import Input, Signature
from pipelines.monitor.profile import Profile, Reference
from pipelines.monitor.window import LATENCY, SCORE
from pipelines.tables.binning import count_bins

QUANTILES = ("0.5", "0.95", "0.99")
BINS = 50  # of a category; its rarer and its new values are one bin
OTHER = "other values"
_MAX_VALUES = 1_000  # of a category whose new values are counted
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
    """Count a window's rows, with one scan for each input."""
    watched = [item for item in signature.inputs if not item.sensitive and item.name in profile.inputs]
    edges = {item.name: list(profile.inputs[item.name].edges) for item in watched}
    columns = watched
    if profile.score:
        columns = [*watched, Input(SCORE, "number")]
        edges[SCORE] = list(profile.score.edges)
    known = {item.name: frequent_bins(profile.inputs[item.name]) for item in watched if item.type == "category"}
    shown = {
        name: ibis.ifelse(table[name].isin(bins) | table[name].isnull(), table[name], OTHER)
        for name, bins in known.items()
    }
    counts: dict[str, Mapping[str, int]] = dict(count_bins(table.mutate(**shown) if shown else table, columns, edges))
    if profile.score:
        counts[signature.output] = counts.pop(SCORE)
    summary = _summarise(table, signature, profile)
    rows = summary["rows"]
    constant = {item.name for item in watched if rows and _is_constant(item, counts[item.name], summary)}
    return Observation(
        rows,
        counts,
        _of_kind("missing", summary),
        _of_kind("new", summary),
        _of_kind("outside", summary),
        frozenset(constant),
        {share: summary[f"latency {share}"] for share in QUANTILES if summary[f"latency {share}"] is not None},
    )


def _summarise(table: ir.Table, signature: Signature, profile: Profile) -> dict[str, Any]:
    aggregates: dict[str, ir.Scalar] = {"rows": table.count()}
    aggregates |= {f"latency {share}": table[LATENCY].approx_quantile(float(share)) for share in QUANTILES}
    for item in signature.inputs:
        column = table[item.name]
        aggregates[f"missing {item.name}"] = table.count() - column.count()
        if item.sensitive:
            continue
        if item.type in ("number", "integer", "timestamp"):
            aggregates[f"lowest {item.name}"], aggregates[f"highest {item.name}"] = column.min(), column.max()
        reference = profile.inputs.get(item.name)
        if reference and item.type == "category" and len(reference.counts) <= _MAX_VALUES:
            aggregates[f"new {item.name}"] = (column.notnull() & ~column.isin(list(reference.counts))).sum()
        if reference and reference.min is not None and reference.max is not None:
            margins = [_ROUNDING * abs(end) for end in (reference.min, reference.max)]
            outside = (column < reference.min - margins[0]) | (column > reference.max + margins[1])
            aggregates[f"outside {item.name}"] = outside.sum()
    # Positions as names: the engine does not tell `Amount` from `amount`.
    names = {f"c{i}": name for i, name in enumerate(aggregates)}
    row = table.aggregate(**dict(zip(names, aggregates.values(), strict=True))).to_pyarrow().to_pylist()[0]
    return {name: row[position] for position, name in names.items()}


def _of_kind(kind: str, summary: Mapping[str, Any]) -> dict[str, int]:
    return {name.removeprefix(f"{kind} "): rows or 0 for name, rows in summary.items() if name.startswith(f"{kind} ")}


def _is_constant(item: Input, counts: Mapping[str, int], summary: Mapping[str, Any]) -> bool:
    if summary[f"missing {item.name}"]:
        return False  # which a check of its own judges
    if item.type in ("number", "integer", "timestamp"):
        return bool(summary[f"lowest {item.name}"] == summary[f"highest {item.name}"])
    return len(counts) == 1


def frequent_bins(reference: Reference) -> list[str]:
    """Return the 50 bins with most rows."""
    return sorted(reference.counts, key=lambda name: (-reference.counts[name], name))[:BINS]


def fold(reference: Reference) -> dict[str, int]:
    """Return the reference's rows of its frequent bins; the rows of all others are in the bin `other values`."""
    folded = {name: reference.counts[name] for name in frequent_bins(reference)}
    if others := sum(reference.counts.values()) - sum(folded.values()):
        folded[OTHER] = others
    return folded
