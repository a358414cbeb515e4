"""Find the format in which people wrote the times of a column."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
         "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S")
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


def date_format(
    connection: duckdb.DuckDBPyConnection, table: str, column: str, missing: tuple[str, ...]
) -> TimeFormat | None:
    """Return the format of a column of texts; None if its cells are not all times.

    Where day and month could be exchanged, the reading that spans less time, and none in the future, is taken.
    """
    name = '"' + column.replace('"', '""') + '"'
    words = ", ".join("'" + word + "'" for word in missing)
    cells = f"(SELECT trim({name}) AS cell FROM {table} WHERE trim({name}) NOT IN ({words}))"
    like_times = connection.execute(
        f"SELECT bool_and(regexp_matches(cell, '\\d.*\\d') AND length(cell) BETWEEN 6 AND 32) FROM {cells}"
    ).fetchone()
    if not like_times or not like_times[0]:
        return None
    for pattern in (_ISO, _ZONED):
        query = (
            f"SELECT bool_and(regexp_full_match(cell, '{pattern}')), min(TRY_CAST(cell AS TIMESTAMPTZ))::VARCHAR, "
            f"max(TRY_CAST(cell AS TIMESTAMPTZ))::VARCHAR, count(*) - count(TRY_CAST(cell AS TIMESTAMP)) FROM {cells}"
        )
        if pattern == _ISO:
            query = query.replace("TIMESTAMPTZ", "TIMESTAMP")
        row = connection.execute(query).fetchone()
        if row and row[0] and (pattern == _ZONED or not row[3]):
            return TimeFormat(None, str(row[1])[:19], str(row[2])[:19])
    sample = f"(SELECT DISTINCT cell FROM {cells} LIMIT 200)"
    fitting = []
    for day, time in itertools.product(_DAYS, _TIMES):
        if _span(connection, sample, day + time) and (span := _span(connection, cells, day + time)):
            fitting.append((day + time, *span))
    if not fitting:
        return None
    now = datetime.now(UTC).replace(tzinfo=None)
    fitting.sort(key=lambda each: (each[2] > now, each[2] - each[1]))
    (best, low, high), *others = fitting
    doubt = ""
    if others:
        doubt = f"is it {best} or {others[0][0]}? Both can read every cell; {best} spans less time"
    return TimeFormat(best, str(low), str(high), doubt)


def _span(connection: duckdb.DuckDBPyConnection, cells: str, time_format: str) -> tuple[datetime, datetime] | None:
    """Return oldest and newest time if every cell has the format, and %Y is a year of four digits; else None."""
    query = f"SELECT count(*) - count(t), min(t), max(t) FROM (SELECT try_strptime(cell, ?) AS t FROM {cells})"
    row = connection.execute(query, [time_format]).fetchone()
    if row is None or row[0] or row[1] is None or row[1].year < 1000:
        return None
    return row[1], row[2]
