"""Infer the type of each column from its cells: one aggregate counts how many of them can be read as what."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from pipelines.adopt import names
from pipelines.adopt.dates import TimeFormat, date_format
from pipelines.adopt.source import RAW, ROW, literal, literals, one_row, quoted
from pipelines.config.table_schema import ColumnType
from pipelines.tables.cast import MISSING_WORDS

# Cells that mean a missing value in a column of numbers, times or booleans; `make data` knows MISSING_WORDS by itself.
WORDS = (*MISSING_WORDS, "n/a", "#N/A", "none", "-", "--", ".", "?", "missing")
WORDS_IN_TEXTS = ("", "?")
READABLE = 0.98  # a column is of a type if so many of its cells are, and the others are few words
READABLE_WITH_WORDS, NEW_WORDS = 0.8, 3  # ... or so many, and the others are so many words without a digit
MAX_WORDS = 20
# A number with signs that `make data` cannot read: 1.268,50 or 4,4 % or $ 12.
DECORATED = r"[$€£]?\s*[-+]?\d{1,3}([., '’]?\d{3})*([.,]\d+)?\s*[%$€£]?"
MAX_ALLOWED = 60  # values that are declared one by one
MAX_CATEGORY = 1_000
VIEW = "typed"  # the table in the types that were inferred, as data/ will hold it
RESERVED = re.compile(r"probability|decision|value|reason|features|(raw|const)_\d+|estimator_.*|(?i:rowid)")


@dataclass(frozen=True)
class Found:
    """What a column holds.

    Attributes:
        name: in the schema; `source_name` is the one in the table.
        rows, present, distinct: counts; `present` without cells that mean a missing value.
        low, high: of numbers, and of times as ISO texts.
        values: of a category -> rows, most frequent first.
        dates: format of times that are not ISO 8601.
        missing: cells, as they stand, that `ingest.missing` must name.
        why: how sure the type is and why, for the comment in params.yaml.
        unsure: questions to a person.
    """

    name: str
    source_name: str
    type: ColumnType
    rows: int
    present: int
    distinct: int
    low: Any = None
    high: Any = None
    values: dict[str, int] = field(default_factory=dict)
    dates: str | None = None
    missing: tuple[str, ...] = ()
    why: str = ""
    unsure: tuple[str, ...] = ()
    is_text: bool = False  # free text, of which a model can make nothing

    @property
    def nullable(self) -> bool:
        """Whether a cell is missing."""
        return self.present < self.rows

    @property
    def is_constant(self) -> bool:
        """Whether it tells nothing: no value, or one value in every row."""
        return self.distinct == 0 or (self.distinct == 1 and not self.nullable)


def schema_name(name: str, taken: set[str]) -> str:
    """Return the name in the schema: the table's own, unless a request or the model's graph could not carry it."""
    clean = "".join(sign for sign in name if sign.isprintable() and sign not in '"\\').strip() or "column"
    while clean in taken or RESERVED.fullmatch(clean):
        clean += "_"
    return clean


def find_columns(connection: duckdb.DuckDBPyConnection) -> tuple[list[Found], str]:
    """Return what each column of the table holds, and the decimal sign of its numbers."""
    types = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {RAW}").fetchall() if row[0] != ROW}
    for source_name, kind in types.items():
        if kind.startswith("ENUM"):
            connection.execute(f"ALTER TABLE {RAW} ALTER {quoted(source_name)} TYPE VARCHAR")
            types[source_name] = "VARCHAR"
    rows = one_row(connection, f"SELECT count(*) FROM {RAW}")[0]
    counts = {name: _count(connection, name) for name, kind in types.items() if kind == "VARCHAR"}
    commas = sum(count["comma"] for count in counts.values())
    decimal = "," if commas > sum(count["point"] for count in counts.values()) else "."
    columns, taken = [], set[str]()
    for source_name, kind in types.items():
        base = {"name": schema_name(source_name, taken), "source_name": source_name, "rows": rows}
        taken.add(base["name"])
        if kind == "VARCHAR":
            columns.append(_text_column(connection, base, counts[source_name], decimal))
        else:
            columns.append(_typed_column(connection, base, kind))
    # A word that means a missing value in one column does so in all texts, as `ingest.missing` has it.
    words = {word for column in columns for word in column.missing}
    for index, column in enumerate(columns):
        others = sorted(words - set(column.missing))
        if column.source_name not in counts or column.type not in ("category", "identifier") or not others:
            continue
        cell = quoted(column.source_name)
        if shared := one_row(connection, f"UPDATE {RAW} SET {cell} = NULL WHERE {cell} IN {literals(others)}")[0]:
            base = {"name": column.name, "source_name": column.source_name, "rows": rows}
            again = _text_column(connection, base, _count(connection, column.source_name), decimal)
            listed = ", ".join(map(repr, others))
            note = f"{column.name}: {shared:,} cells became missing values, as in another column: {listed}"
            columns[index] = replace(again, unsure=(*again.unsure, note))
    return columns, decimal


def _count(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, int]:
    """Count the cells of a column of texts that have each form."""
    cell = f"trim({quoted(name)})"
    forms = {
        "present": f"{cell} NOT IN {literals(WORDS)}",
        "texts": f"{cell} NOT IN {literals(WORDS_IN_TEXTS)}",
        "point": rf"regexp_full_match({cell}, '[-+]?\d*\.\d+([eE][-+]?\d+)?')",
        "comma": rf"regexp_full_match({cell}, '[-+]?\d+,\d+')",
        "integer": rf"regexp_full_match({cell}, '[-+]?\d{{1,18}}')",
        "zeros": rf"regexp_full_match({cell}, '0\d+')",
        "boolean": f"lower({cell}) IN ('true', 'false')",
        "decorated": f"regexp_full_match({cell}, {literal(DECORATED)})",
    }
    selected = ", ".join(f"count(*) FILTER ({condition}) AS {form}" for form, condition in forms.items())
    row = one_row(connection, f"SELECT {selected}, count(DISTINCT {quoted(name)}) FROM {RAW}")
    return dict(zip([*forms, "distinct"], row, strict=True))


def _text_column(
    connection: duckdb.DuckDBPyConnection, base: dict[str, Any], count: dict[str, int], decimal: str
) -> Found:
    source_name, present = base["source_name"], count["present"]
    cell = f"trim({quoted(source_name)})"
    if not present:
        return Found(**base, type="category", present=count["texts"], distinct=0, why="empty")
    missing = _cells(connection, source_name, f"{cell} IN {literals(WORDS)}")
    if count["boolean"] == present:
        return Found(**base, type="boolean", present=present, distinct=2, missing=missing, why="sure: true and false")
    number = f"TRY_CAST(replace({cell}, {literal(decimal)}, '.') AS DOUBLE)"
    # DuckDB alone would also read 1_000, which `make data` does not; 1e400 is infinite.
    digits = rf"[-+]?(\d+([{decimal}]\d*)?|[{decimal}]\d+)([eE][-+]?\d+)?"
    is_number = f"(regexp_full_match({cell}, {literal(digits)}) AND isfinite({number}))"
    bad = _bad_cells(connection, cell, is_number)
    numbers = one_row(
        connection, f"SELECT count(*) FILTER ({is_number}) FROM {RAW} WHERE {cell} NOT IN {literals(WORDS)}"
    )[0]
    codes = count["zeros"] > 0 and count["integer"] == present
    if _are_few(bad, present - numbers, present) and not codes:
        return _number_column(connection, base, number, f"({cell} IN {literals(WORDS)} OR NOT {is_number})", bad)
    times = date_format(connection, source_name, WORDS)
    if isinstance(times, TimeFormat):
        why = f"{'unsure' if times.doubt else 'sure'}: every cell is {times}"
        return Found(
            **base, type="timestamp", present=present, distinct=count["distinct"], low=times.low, high=times.high,
            dates=times.format, missing=missing, why=why,
            unsure=(f"{base['name']}: {times.doubt}",) if times.doubt else (),
        )  # fmt: skip
    examples = ", ".join(f"{word[:40]!r} in row {row:,}" for word, (_, row) in list(bad.items())[:3])
    problem = ""
    if times:
        problem = f"is read as text: its times have two formats, {times}; to use it, export them in one"
    elif count["decorated"] >= READABLE * present and numbers < present and not codes:
        problem = f"is read as text: its numbers have units or thousands separators ({examples}); "
        problem += "to use it, export plain numbers"
    elif numbers >= 0.5 * present and not codes:
        problem = f"has {numbers:,} numbers among {present:,} cells, and is read as text: {examples}"
    unsure = (f"{base['name']} {problem}",) if problem else ()
    return _words_column(connection, base, count["texts"], unsure, "codes with leading zeros" if codes else "")


def _cells(connection: duckdb.DuckDBPyConnection, source_name: str, condition: str) -> tuple[str, ...]:
    """Return the different cells that meet a condition and that `make data` does not take for missing by itself."""
    query = f"SELECT DISTINCT {quoted(source_name)} FROM {RAW} WHERE {condition} ORDER BY 1 LIMIT {MAX_WORDS}"
    cells = [str(row[0]) for row in connection.execute(query).fetchall() if row[0] is not None]
    return tuple(cell for cell in cells if cell.strip() not in MISSING_WORDS)


def _bad_cells(connection: duckdb.DuckDBPyConnection, cell: str, good: str) -> dict[str, tuple[int, int]]:
    """Return cells that do not meet a condition -> (rows, the first row's number), the most frequent ones first."""
    query = (
        f"SELECT {cell}, count(*), min({ROW}) FROM {RAW} WHERE {cell} NOT IN {literals(WORDS)} AND NOT {good} "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_WORDS + 1}"
    )
    return {str(word): (int(rows), int(row)) for word, rows, row in connection.execute(query).fetchall()}


def _are_few(words: dict[str, tuple[int, int]], count: int, present: int) -> bool:
    """Return whether these words, in `count` cells, may stand for missing values."""
    if len(words) <= NEW_WORDS and not any(sign.isdigit() for word in words for sign in word):
        return count <= (1 - READABLE_WITH_WORDS) * present
    return len(words) <= MAX_WORDS and count <= (1 - READABLE) * present


def _number_column(
    connection: duckdb.DuckDBPyConnection,
    base: dict[str, Any],
    number: str,
    is_missing: str,
    bad: dict[str, tuple[int, int]],
) -> Found:
    present, low, high, whole, distinct = one_row(
        connection,
        f"SELECT count(v), min(v), max(v), bool_and(v = floor(v) AND abs(v) < 1e15), count(DISTINCT v) "
        f"FROM (SELECT {number} AS v FROM {RAW} WHERE NOT {is_missing})",
    )
    why, unsure = f"sure: every cell is {'a whole number' if whole else 'a number'}", tuple[str, ...]()
    if bad:
        listed = ", ".join(f"{word!r} ({rows:,} rows, the first is {row:,})" for word, (rows, row) in bad.items())
        why = f"{present / (present + sum(rows for rows, _ in bad.values())):.1%} of the cells are numbers"
        unsure = (f"{base['name']}: cells that are no numbers became missing values: {listed}",)
    found = Found(
        **base, type="integer" if whole else "number", present=present, distinct=distinct, low=low, high=high,
        missing=_cells(connection, base["source_name"], is_missing), why=why, unsure=unsure,
    )  # fmt: skip
    return _as_identifier(found)


def _as_identifier(found: Found) -> Found:
    """Return whole numbers as an identifier if their name is that of a key."""
    if found.type == "integer" and found.distinct > 20 and names.is_key_like(found.name):
        return replace(found, type="identifier", low=None, high=None, why="whole numbers, but named like a key")
    return found


def _words_column(
    connection: duckdb.DuckDBPyConnection, base: dict[str, Any], present: int, unsure: tuple[str, ...], why: str
) -> Found:
    cell = quoted(base["source_name"])
    no_text = f"trim({cell}) IN {literals(WORDS_IN_TEXTS)}"
    missing = _cells(connection, base["source_name"], no_text)
    blank = f"SELECT {cell}, count(*) FROM {RAW} WHERE {cell} <> '' AND trim({cell}) = '' GROUP BY 1"
    if blanks := dict(connection.execute(blank).fetchall()):
        missing += tuple(blanks)
        unsure += (f"{base['name']}: {sum(blanks.values()):,} blank cells became missing values",)
    distinct, length = one_row(
        connection, f"SELECT count(DISTINCT {cell}), avg(length({cell})) FROM {RAW} WHERE NOT {no_text}"
    )
    query = f"SELECT {cell}, count(*) FROM {RAW} WHERE NOT {no_text} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_ALLOWED}"
    values = {str(value): int(rows) for value, rows in connection.execute(query).fetchall()}
    if words := [word for word in values if word.strip() in WORDS]:
        listed = ", ".join(f"{word!r} ({values[word]:,} rows)" for word in words)
        unsure += (f"{base['name']}: is {listed} a value or a missing one? If missing: add it to ingest.missing",)
    found = {**base, "present": present, "distinct": distinct, "missing": missing, "unsure": unsure}
    if distinct <= MAX_ALLOWED and (distinct <= 20 or distinct <= present / 5):
        texts = f"sure: {distinct} different text{'s' * (distinct > 1)}"
        return Found(**found, type="category", values=values, why=why or texts)
    if distinct <= min(MAX_CATEGORY, present / 10):
        return Found(**found, type="category", why=why or f"{distinct:,} different texts, too many to list")
    key_like = names.is_key_like(base["name"]) or names.has_word_of(base["name"], names.ENTITY)
    is_text = not key_like and (length or 0) > 20
    return Found(**found, type="identifier", is_text=is_text, why=why or f"{distinct:,} different texts")


def _typed_column(connection: duckdb.DuckDBPyConnection, base: dict[str, Any], kind: str) -> Found:
    """Return a column that a Parquet file or Arrow gives a type."""
    cell = quoted(base["source_name"])
    present, distinct = one_row(connection, f"SELECT count({cell}), count(DISTINCT {cell}) FROM {RAW}")
    found = {**base, "present": present, "distinct": distinct, "why": "sure: declared by the file"}
    if kind == "BOOLEAN":
        return Found(**found, type="boolean")
    if re.fullmatch(r"(TIMESTAMP|DATE)[^\[]*", kind):
        low, high = one_row(connection, f"SELECT min({cell})::VARCHAR, max({cell})::VARCHAR FROM {RAW}")
        return Found(**found, type="timestamp", low=low, high=high)
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(\d+,\d+\)", kind):
        low, high, whole = one_row(
            connection,
            f"SELECT min({cell})::DOUBLE, max({cell})::DOUBLE, bool_and({cell} = floor({cell})) FROM {RAW}",
        )
        low, high = (None if v is None or not math.isfinite(v) else v for v in (low, high))
        # 0.0 and 1.0 are a class.
        is_whole = "INT" in kind or (distinct == 2 and whole)
        return _as_identifier(Found(**found, type="integer" if is_whole else "number", low=low, high=high))
    why = f"of type {kind}, which a model cannot read"
    unsure = (f"{base['name']} is left out: it is {why}",)
    return Found(**{**found, "why": why}, type="identifier", is_text=True, unsure=unsure)


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
