"""The raw table in the types that were inferred, as an Ibis table: what data/ will hold, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import ibis
import ibis.expr.types as ir

from pipelines.adopt.columns import WORDS, Found
from pipelines.adopt.source import RAW, ROW, literal, literals, quoted
from pipelines.tables.cast import MISSING_WORDS

VIEW = "typed"


def typed_table(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Found], decimal: str, made_key: str | None
) -> ir.Table:
    """Return the rows; a made key is the number of the row, which is enough to try a split.

    Args:
        decimal: the sign between a number and its decimals.
        made_key: name of a key that the table lacks.
    """
    types = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {RAW}").fetchall()}
    missing = tuple(sorted({*WORDS, *(cell.strip() for column in columns for cell in column.missing)}))
    selected = [f"{_expression(column, types, decimal, missing)} AS {quoted(column.name)}" for column in columns]
    if made_key:
        selected.append(f"CAST({ROW} AS VARCHAR) AS {quoted(made_key)}")
    # DuckDB 2.0 does not keep the order of more than 122,880 rows by itself.
    connection.execute(f"CREATE OR REPLACE TABLE {VIEW} AS SELECT {', '.join(selected)} FROM {RAW} ORDER BY {ROW}")
    return ibis.duckdb.from_connection(connection).table(VIEW)


def _expression(column: Found, types: dict[str, str], decimal: str, missing: tuple[str, ...]) -> str:
    cell = quoted(column.source_name)
    if types[column.source_name] != "VARCHAR":
        as_type = {"integer": "BIGINT", "number": "DOUBLE", "identifier": "VARCHAR", "timestamp": "TIMESTAMP"}
        return f"CAST({cell} AS {as_type.get(column.type, types[column.source_name])})"
    present = f"CASE WHEN trim({cell}) IN {literals(missing)} THEN NULL ELSE trim({cell}) END"
    match column.type:
        case "number":
            return f"TRY_CAST(replace({present}, {literal(decimal)}, '.') AS DOUBLE)"
        case "integer":
            return f"TRY_CAST(TRY_CAST(replace({present}, {literal(decimal)}, '.') AS DOUBLE) AS BIGINT)"
        case "boolean":
            return f"lower({present}) = 'true'"
        case "timestamp" if column.dates:
            return f"try_strptime({present}, {literal(column.dates)})"
        case "timestamp":
            return f"CAST(TRY_CAST({present} AS TIMESTAMPTZ) AS TIMESTAMP)"
    kept = [cell for cell in column.missing if cell.strip() not in MISSING_WORDS] + ["", "?"]
    return f"CASE WHEN trim({cell}) IN {literals(kept)} THEN NULL ELSE {cell} END"
