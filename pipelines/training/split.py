"""Stage `split`: write models/split.json, which defines the training, validation and test rows."""

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
from pipelines.tables.data import connect, read_rows, target_value
from pipelines.tables.split import SIDES, is_on_side, split_boundaries


def counts(table: ir.Table, params: TableParams, split: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Count the rows of each side with a known label, and for a classification the positives, in one scan."""
    conditions = {"rows": table[params.table.target].notnull()}
    if params.task == "classification":
        conditions["positives"] = target_value(table, params) == 1
    aggregates = {
        f"{side}.{name}": (condition & is_on_side(table, split, side)).sum()
        for side in SIDES
        for name, condition in conditions.items()
    }
    row = table.aggregate(**aggregates).to_pyarrow().to_pylist()[0]
    return {side: {name: int(row[f"{side}.{name}"] or 0) for name in conditions} for side in SIDES}


def check(sides: dict[str, dict[str, int]]) -> None:
    """Raise InputError if a side has no rows, or rows of one class only."""
    problems = []
    for side, count in sides.items():
        if not count["rows"]:
            problems.append(f"no rows in {side}")
        elif count.get("positives") in (0, count["rows"]):
            problems.append(f"one class only in {side}")
    if problems:
        raise InputError(
            f"the split leaves {' and '.join(problems)}",
            "Add data, or change split (or label_delay_days) in params.yaml.",
        )


def main() -> None:
    """Split data/ as params.yaml says."""
    params = read_sections(SplitParams)
    table = read_rows(connect())
    split = split_boundaries(table, params)
    sides = counts(table, params, split)
    check(sides)
    write_json(SPLIT, split | {"counts": sides})
    print(", ".join(f"{side} {count['rows']:,} rows" for side, count in sides.items()))


if __name__ == "__main__":
    sys.exit(end_with_code(main))
