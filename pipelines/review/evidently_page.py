"""An Evidently page on what changed in the rows, drawn from a sample of the base's and of the head's.

No gate reads it. The sample keeps it quick: Evidently takes minutes for ten million rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.files import write_bytes
from pipelines.config.params import Params
from pipelines.model.inputs import inputs_of
from pipelines.review.base_rows import cached_files
from pipelines.tables.data import connect, read_data

SAMPLE = 10_000


def write(path: Path, params: Params, base_sha: str, base_data: str) -> str:
    """Write the page.

    Args:
        base_data: md5 of the base's data/, which ends in .dir.

    Returns:
        Where the page is, or why there is none.
    """
    files = cached_files(base_data)
    if not files:
        return (
            f"no Evidently page: the base's rows ({base_data[:12]}, commit {base_sha[:7]}) are not in DVC's cache here"
        )
    connection = connect()
    columns = [item.name for item in inputs_of(params) if not item.sensitive]
    head = read_data(connection)
    base = connection.read_parquet([str(file) for file in files], union_by_name=True)
    missing = sorted(set(columns) - set(base.columns))
    shown = [name for name in columns if name not in missing]
    try:
        current, reference = (_sample(table, params, shown) for table in (head, base))
        text = _page(current, reference, params, shown)
    except Exception as error:  # rows of another schema can make Evidently or DuckDB raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return f"no Evidently page: it cannot be drawn from the base's rows ({reason})"
    write_bytes(path, text.encode())
    without = f" (without {', '.join(missing)}, which the base does not have)" if missing else ""
    return f"{path.name} beside this report, from {len(reference):,} and {len(current):,} rows{without}"


def _sample(table: ir.Table, params: Params, columns: list[str]) -> Any:
    """Up to 10,000 rows as pandas, chosen by a hash of the key: the same rows every time."""
    order = table[params.table.key].cast("string").hexdigest("sha256")
    return table.order_by(order).limit(SAMPLE).select(*columns).to_pandas()


def _page(current: Any, reference: Any, params: Params, columns: list[str]) -> str:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    types = {name: params.table.columns[name].type for name in columns}
    definition = DataDefinition(
        numerical_columns=[name for name, kind in types.items() if kind in ("number", "integer")],
        categorical_columns=[name for name, kind in types.items() if kind in ("category", "boolean")],
        datetime_columns=[name for name, kind in types.items() if kind == "timestamp"],
    )
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    # Methods are named because Evidently's default changes with the number of rows.
    preset = DataDriftPreset(num_method="psi", cat_method="psi", num_threshold=0.1, cat_threshold=0.1)
    return str(Report([preset]).run(*sides).get_html_str(as_iframe=False))
