"""The rows that an Evidently page is drawn from: a sample, because Evidently takes minutes for ten million rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir

SAMPLE = 10_000


def sampled(table: ir.Table, key: str) -> ir.Table:
    """Up to 10,000 rows, chosen by a hash of the key: the same rows every time."""
    return table.order_by(table[key].cast("string").hexdigest("sha256")).limit(SAMPLE)


def sample(table: ir.Table, key: str, columns: Sequence[str]) -> Any:
    """Some columns of the sampled rows as pandas."""
    return sampled(table, key).select(*columns).to_pandas()


def column_kinds(types: Mapping[str, str]) -> dict[str, list[str]]:
    """The arguments of Evidently's DataDefinition for columns of these types of params.yaml."""
    return {
        "numerical_columns": [name for name, kind in types.items() if kind in ("number", "integer")],
        "categorical_columns": [name for name, kind in types.items() if kind in ("category", "boolean")],
        "datetime_columns": [name for name, kind in types.items() if kind == "timestamp"],
    }


def drift_preset() -> Any:
    """The preset for data drift. Its methods are named because Evidently's default changes with the number of rows."""
    from evidently.presets import DataDriftPreset

    return DataDriftPreset(num_method="psi", cat_method="psi", num_threshold=0.1, cat_threshold=0.1)
