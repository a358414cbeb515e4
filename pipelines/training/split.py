"""Stage `split`: write models/split.json, which defines the training, validation and test rows."""

from __future__ import annotations

import sys
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.errors import InputError
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_json
from pipelines.config.paths import SPLIT
from pipelines.config.read import read_sections
from pipelines.config.split import SplitParams
from pipelines.config.table_schema import TableParams
from pipelines.tables.data import connect, read_data, target_value
from pipelines.tables.split import SIDES, is_on_side, split_boundaries


def counts(table: ir.Table, params: TableParams, split: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Count the rows of each side with a known label, and for a classification the positives, in one scan."""
    known = table[params.table.target].notnull()
    label = target_value(table, params)
    aggregates: dict[str, ir.Scalar] = {}
    for side in SIDES:
        member = known & is_on_side(table, split, side)
        aggregates[f"{side}.rows"] = member.sum()
        if params.task == "classification":
            aggregates[f"{side}.positives"] = (member & (label == 1)).sum()
    row = table.aggregate(**aggregates).to_pyarrow().to_pylist()[0]
    sides: dict[str, dict[str, int]] = {}
    for name, value in row.items():
        side_name, what = name.split(".")
        sides.setdefault(side_name, {})[what] = int(value or 0)
    return sides


def check(sides: dict[str, dict[str, int]]) -> None:
    """Check that each side has rows of both classes.

    Raises:
        InputError: if a side has no rows, or rows of one class only.
    """
    empty = [side for side, count in sides.items() if not count["rows"]]
    one_class = [side for side, c in sides.items() if c["rows"] and c.get("positives", 1) in (0, c["rows"])]
    if empty or one_class:
        problems = [f"no rows in {', '.join(empty)}"] * bool(empty) + [
            f"one class only in {', '.join(one_class)}"
        ] * bool(one_class)
        raise InputError(
            f"the split leaves {' and '.join(problems)}",
            "Add data, or change split (or label_delay_days) in params.yaml.",
        )


def main() -> None:
    """Split data/ as params.yaml says."""
    params = read_sections(SplitParams)
    table = read_data(connect())
    split = split_boundaries(table, params)
    sides = counts(table, params, split)
    check(sides)
    write_json(SPLIT, split | {"counts": sides})
    print(", ".join(f"{side} {count['rows']:,} rows" for side, count in sides.items()))


if __name__ == "__main__":
    sys.exit(end_with_code(main))
