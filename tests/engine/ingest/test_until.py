"""Rows and labels that were known on a day."""

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.params import parse
from pipelines.ingest.rows import Rows, cut_rows
from tests.engine.fixtures_repo import PARAMS

TABLE = parse(PARAMS.read_text()).table
DAYS = [datetime(2026, 3, day, 23) for day in (1, 2, 3)]


def rows(**columns: Any) -> Rows:
    """Three rows of the days of DAYS, whose labels became known a day later."""
    known = [*DAYS[1:], datetime(2026, 3, 4)]
    table = pa.table(
        {"paid_at": DAYS, "is_fraud": [1, 0, 1], "labelled_at": known, "amount": [1.0, 2.0, 3.0]} | columns
    )
    return Rows(table.schema, [table])


def cut(until: date | None, **columns: Any) -> dict[str, list[Any]]:
    result = cut_rows(rows(**columns), TABLE, until)
    return pa.concat_tables(result.parts).to_pydict()


def test_rows_and_labels_from_the_day_on_are_left_out() -> None:
    kept = cut(date(2026, 3, 3))
    assert (kept["amount"], kept["is_fraud"]) == ([1.0, 2.0], [1, None])
    assert kept["labelled_at"] == [DAYS[1], None]


def test_without_a_day_all_rows_are_kept() -> None:
    assert cut(None)["is_fraud"] == [1, 0, 1]


def test_rows_without_a_time_are_kept_for_the_validation() -> None:
    kept = cut(date(2026, 3, 2), paid_at=pa.array([None, DAYS[1], DAYS[0]]), labelled_at=pa.nulls(3, pa.timestamp("s")))
    assert (kept["amount"], kept["is_fraud"]) == ([1.0, 3.0], [1, 1])


def test_a_column_without_times_is_refused() -> None:
    with pytest.raises(InputError, match="paid_at"):
        cut(date(2026, 3, 2), paid_at=["monday", "x", "y"])


def test_a_day_changes_the_id_of_the_settings_and_none_does_not() -> None:
    text = PARAMS.read_text()
    with_none = text.replace("  kind: simulator\n", "  kind: simulator\n  until: null\n")
    with_day = text.replace("  kind: simulator\n", '  kind: simulator\n  until: "2026-03-01"\n')
    assert parse(text).ingest_id == parse(with_none).ingest_id != parse(with_day).ingest_id
