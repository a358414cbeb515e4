"""Find the format in which people wrote the times of a column."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from pipelines.adopt.source import RAW, literal, literals, one_row, quoted

_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
         "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S")
_FORMATS = [day + time for day, time in itertools.product(_DAYS, _TIMES)]
_ISO = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?"
_ZONED = rf"{_ISO}(Z|[-+]\d\d(:?\d\d)?)"


@dataclass(frozen=True)
class TimeFormat:
    """A format that every cell of a column has (None: ISO 8601), and the oldest and newest time."""

    format: str | None
    low: str
    high: str
    doubt: str = ""

    def __str__(self) -> str:
        return self.format or "ISO 8601"


def date_format(connection: duckdb.DuckDBPyConnection, column: str, missing: tuple[str, ...]) -> TimeFormat | str:
    """Return the format of a column of texts.

    Where day and month could be exchanged, the reading that spans less time, and none in the future, is taken.

    Returns:
        If no format reads all cells: the two that read them together, as text; empty if there are none.
    """
    name = quoted(column)
    cells = f"(SELECT trim({name}) AS cell FROM {RAW} WHERE trim({name}) NOT IN {literals(missing)})"
    like_times = "bool_and(regexp_matches(cell, '\\d.*\\d') AND length(cell) BETWEEN 6 AND 32)"
    if not one_row(connection, f"SELECT {like_times} FROM {cells}")[0]:
        return ""
    for pattern, kind in ((_ISO, "TIMESTAMP"), (_ZONED, "TIMESTAMPTZ")):
        time = f"TRY_CAST(cell AS {kind})"
        is_iso = f"bool_and(regexp_full_match(cell, '{pattern}') AND {time} IS NOT NULL)"
        row = one_row(connection, f"SELECT {is_iso}, min({time})::VARCHAR, max({time})::VARCHAR FROM {cells}")
        if row[0]:
            return TimeFormat(None, row[1][:19], row[2][:19])
    total, reads = _count_read(connection, cells)
    fitting = []
    for form in [form for form in _FORMATS if reads[form] == total]:
        time = f"try_strptime(cell, {literal(form)})"
        read_all, low, high = one_row(
            connection, f"SELECT bool_and({_is_read(form)}), min({time}), max({time}) FROM {cells}"
        )
        if read_all:
            fitting.append((form, low, high))
    if not fitting:
        return _two_formats(connection, cells, max(_FORMATS, key=lambda form: reads[form]))
    now = datetime.now(UTC).replace(tzinfo=None)
    fitting.sort(key=lambda each: (each[2] > now, each[2] - each[1]))
    (best, low, high), *others = fitting
    doubt = f"is it {best} or {others[0][0]}? Both can read every cell; {best} spans less time" if others else ""
    return TimeFormat(best, str(low), str(high), doubt)


def _two_formats(connection: duckdb.DuckDBPyConnection, cells: str, first: str) -> str:
    """Return a format and the one that reads all other cells, as text; empty if there is none."""
    total, reads = _count_read(connection, f"(SELECT cell FROM {cells} WHERE NOT {_is_read(first)})")
    second = max(_FORMATS, key=lambda form: reads[form])
    return f"{first} and {second}" if total and reads[second] == total else ""


def _count_read(connection: duckdb.DuckDBPyConnection, cells: str) -> tuple[int, dict[str, int]]:
    """Return how many of at most 200 different cells there are, and how many of them each format reads."""
    counts = ", ".join(f"count(*) FILTER ({_is_read(form)})" for form in _FORMATS)
    total, *reads = one_row(connection, f"SELECT count(*), {counts} FROM (SELECT DISTINCT cell FROM {cells} LIMIT 200)")
    return total, dict(zip(_FORMATS, reads, strict=True))


def _is_read(form: str) -> str:
    """Return the condition that a cell has a format, in which %Y is a year of four digits."""
    return f"coalesce(year(try_strptime(cell, {literal(form)})) >= 1000, false)"
