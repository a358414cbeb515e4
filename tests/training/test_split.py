"""Laws of the split: every known row is on one side, later rows never move earlier ones by hash, sides do not mix."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import config, tables
from pipelines.errors import InputError
from pipelines.training import split as stage
from tests import fixtures_repo

PARAMS = config.load(fixtures_repo.PARAMS)
HASH = {"by": "hash", "salt": "s", "column": "payment_id", "test": 0.2, "validation": 0.15}
START = datetime(2026, 1, 1)
CONNECTION = tables.connect()


def payments(days: list[float], labels: list[int | None] | None = None) -> Any:
    """A table with the columns that a split reads: one payment a moment, in days from the start."""
    return ibis.memtable(
        pa.table(
            {
                "payment_id": pa.array([f"p{i}" for i in range(len(days))]),
                "paid_at": pa.array([START + timedelta(hours=round(day * 24)) for day in days], pa.timestamp("ms")),
                "is_fraud": pa.array(labels or [i % 2 for i in range(len(days))], pa.int64()),
            }
        )
    )


def keys(table: Any, split: dict[str, Any], side: tables.Side) -> list[str]:
    rows = CONNECTION.to_pyarrow(tables.side(table, PARAMS, split, side))
    return rows["payment_id"].to_pylist()


def by_time(days: list[float]) -> dict[str, Any]:
    newest = START + timedelta(hours=round(max(days) * 24))
    matured = newest - timedelta(days=PARAMS.table.label_delay_days)
    test = matured - timedelta(days=25)
    return {
        "by": "time",
        "column": "paid_at",
        "matured": matured.isoformat(),
        "test_from": test.isoformat(),
        "validation_from": (test - timedelta(days=15)).isoformat(),
    }


moments = st.lists(st.integers(0, 120 * 24), min_size=2, max_size=40).map(lambda hours: [hour / 24 for hour in hours])


@settings(max_examples=25, deadline=None)
@given(moments)
def test_every_matured_row_is_on_exactly_one_side_and_the_newest_judge(days: list[float]) -> None:
    table, split = payments(days), by_time(days)
    sides = {side: keys(table, split, side) for side in tables.SIDES}
    at = {f"p{i}": round(day * 24) for i, day in enumerate(days)}
    placed = [key for found in sides.values() for key in found]
    matured = {key for key, hour in at.items() if hour <= max(at.values()) - 24 * PARAMS.table.label_delay_days}
    assert len(placed) == len(set(placed))
    assert set(placed) == matured
    for earlier, later in itertools.combinations(tables.SIDES, 2):
        if sides[earlier] and sides[later]:
            assert max(at[key] for key in sides[earlier]) < min(at[key] for key in sides[later])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 60))
def test_by_hash_a_row_never_changes_side_whatever_comes(rows: int, more: int) -> None:
    before, after = payments([0.0] * rows), payments([0.0] * (rows + more))
    for side in tables.SIDES:
        stayed = [key for key in keys(after, HASH, side) if int(key[1:]) < rows]
        assert sorted(stayed) == sorted(keys(before, HASH, side))


def test_by_hash_the_shares_are_kept() -> None:
    table = payments([0.0] * 4_000)
    sizes = {side: len(keys(table, HASH, side)) for side in tables.SIDES}
    assert sum(sizes.values()) == 4_000
    assert sizes["test"] == pytest.approx(800, abs=100)
    assert sizes["validation"] == pytest.approx(600, abs=100)


def test_a_row_without_a_label_is_on_no_side() -> None:
    table = payments([0.0, 0.0, 0.0, 0.0], [1, None, 0, None])
    assert sorted(key for side in tables.SIDES for key in keys(table, HASH, side)) == ["p0", "p2"]


def test_rows_that_a_model_was_trained_on_are_left_out_by_its_signature() -> None:
    table = payments([1.0, 50.0, 100.0])
    by_until = table.filter(tables.unseen(table, "2026-02-21T00:00:00+00:00", None, "paid_at"))
    assert CONNECTION.to_pyarrow(by_until)["payment_id"].to_pylist() == ["p2"]
    many = payments([0.0] * 300)
    by_split = CONNECTION.to_pyarrow(many.filter(tables.unseen(many, None, HASH, None)))["payment_id"].to_pylist()
    assert sorted(by_split) == sorted(keys(many, HASH, "test"))


def test_a_side_without_rows_or_with_one_class_is_refused_by_name() -> None:
    full = {"rows": 10, "positives": 2}
    stage.check({"train": full, "validation": full, "test": full})
    with pytest.raises(InputError, match="no rows in test and one class only in validation"):
        stage.check({"train": full, "validation": {"rows": 5, "positives": 0}, "test": {"rows": 0, "positives": 0}})


def test_the_counts_are_those_of_the_sides() -> None:
    table = payments([0.0] * 200)
    for side, count in stage.counts(table, PARAMS, HASH).items():
        found = keys(table, HASH, side)
        assert count == {"rows": len(found), "positives": sum(int(key[1:]) % 2 for key in found)}
