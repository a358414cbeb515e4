"""Evidently's page on the base's rows beside the head's."""

from pathlib import Path
from typing import Any

from pipelines.cli.files import write_bytes
from pipelines.config.params import Params
from pipelines.model.inputs import inputs_of
from pipelines.pages.evidently_sample import column_kinds, drift_preset, sample
from pipelines.review.base_rows import BaseRows
from pipelines.tables.data import connect, read_rows


def draw_page(path: Path, params: Params, base_rows: BaseRows) -> str:
    """Write the page, and return where it is, or why there is none."""
    if not base_rows.files:
        return f"no Evidently page: {base_rows.why_not}"
    connection = connect()
    columns = [item.name for item in inputs_of(params) if not item.sensitive]
    head = read_rows(connection)
    base = connection.read_parquet([str(file) for file in base_rows.files], union_by_name=True)
    missing = sorted(set(columns) - set(base.columns))
    shown = [name for name in columns if name not in missing]
    try:
        current, reference = (sample(table, params.table.key, shown) for table in (head, base))
        text = _page(current, reference, params, shown)
    except Exception as error:  # rows of another schema can make Evidently or DuckDB raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return f"no Evidently page: it cannot be drawn from the base's rows ({reason})"
    write_bytes(path, text.encode())
    without = f" (without {', '.join(missing)}, which the base does not have)" if missing else ""
    return f"{path.name} beside this report, from {len(reference):,} and {len(current):,} rows{without}"


def _page(current: Any, reference: Any, params: Params, columns: list[str]) -> str:
    from evidently import DataDefinition, Dataset, Report

    definition = DataDefinition(**column_kinds({name: params.table.columns[name].type for name in columns}))
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    return str(Report([drift_preset()]).run(*sides).get_html_str(as_iframe=False))
