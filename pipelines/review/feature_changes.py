"""Which features the head adds, drops or changes."""

from typing import Any

import ibis.expr.types as ir

from pipelines.cli.errors import InputError
from pipelines.config.read import read_yaml
from pipelines.pages.numbers import count, of
from pipelines.review.findings import FeatureChanges

PREPARED, RAW = "made by features/prepare.py", "a column of data/"


def feature_changes(
    base: str | None, head: str, key: str, rows: ir.Table, rows_of_base: ir.Table | None
) -> FeatureChanges | None:
    """Compare the features of two texts of params.yaml, and the values of the prepared ones in rows that both have.

    Args:
        key: the column that tells rows apart.
        rows_of_base: None if they are the same, or not known.

    Returns:
        None if no feature differs, or the base's are not known.
    """
    before, after = _features(base), _features(head)
    if not before:
        return None
    both = [name for name in after if name in before]
    changed = {name: f"{before[name]} → {after[name]}" for name in both if before[name] != after[name]}
    prepared = [name for name in both if before[name] == after[name] == PREPARED]
    if rows_of_base is not None and key in rows_of_base.columns:
        changed |= _other_values(rows, rows_of_base, key, [name for name in prepared if name in rows_of_base.columns])
    changes = FeatureChanges(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(sorted(changed.items())),
    )
    return None if changes == FeatureChanges() else changes


def _features(text: str | None) -> dict[str, str]:
    """Return feature -> where it comes from, in words; nothing if the text is not a params.yaml."""
    try:
        document = read_yaml(text or "{}", "params.yaml")
        columns, features = document["schema"]["columns"], document["features"]
        used = {name: PREPARED if columns[name].get("prepared") else RAW for name in features.get("use") or ()}
        derived = {name: _describe(entry) for name, entry in (features.get("derive") or {}).items()}
    except (InputError, KeyError, TypeError, AttributeError):
        return {}  # only a base can be unreadable: the head's params.yaml was read before
    return used | derived


def _describe(derived: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in derived.items())


def _other_values(rows: ir.Table, before: ir.Table, key: str, names: list[str]) -> dict[str, str]:
    """Return the columns whose values differ in rows of the same key, and in how many."""
    if not names:
        return {}
    both = rows.select(key, *names).inner_join(before.select(key, *names), key, rname="{name}_before")
    differ = {name: _differs(both[name], both[f"{name}_before"]).sum() for name in names}
    counted = both.aggregate(**differ, **{"rows of both": both.count()}).to_pyarrow().to_pylist()[0]
    total = counted.pop("rows of both")
    return {name: f"other values in {count(n)} of {of(total, 'row')} of both" for name, n in counted.items() if n}


def _differs(value: ir.Value, before: ir.Value) -> ir.BooleanValue:
    if value.type() != before.type() and not (value.type().is_numeric() and before.type().is_numeric()):
        value, before = value.cast("string"), before.cast("string")
    return ~value.identical_to(before)
