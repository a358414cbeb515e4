"""Laws of the split: every known row is on one side, later rows never move earlier ones by hash, sides do not mix."""

import itertools
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.errors import InputError
from pipelines.tables.data import connect
from pipelines.tables.split import SIDES, Side, is_unseen, rows_on_side, split_boundaries
from pipelines.training import split as stage
from tests.engine.training.conftest import BY_HASH, orders, small_params

PARAMS = small_params()
HASH = {"by": "hash", "salt": "s", "column": "order_id", "test": 0.2, "validation": 0.15}
CONNECTION = connect()


def keys(table: pa.Table, split: dict[str, Any], side: Side) -> list[str]:
    rows = CONNECTION.to_pyarrow(rows_on_side(ibis.memtable(table), PARAMS, split, side))
    return rows["order_id"].to_pylist()


def sides(table: pa.Table, split: dict[str, Any]) -> dict[str, list[str]]:
    return {side: keys(table, split, side) for side in SIDES}


def boundaries(table: pa.Table, **changes: Any) -> dict[str, Any]:
    return split_boundaries(ibis.memtable(table), small_params(**changes))


def test_a_split_by_time_tests_on_the_newest_matured_days_and_validates_on_the_days_before() -> None:
    # The newest row is of day 40, 10 February: labels are mature until day 35, of which 10 and 10 days are cut off.
    table = orders([40, 35.5, 35, 25, 24, 15, 14, 0])
    split = boundaries(table)
    assert split == {
        "by": "time",
        "column": "ordered_at",
        "matured": "2026-02-05T00:00:00+00:00",
        "test_from": "2026-01-26T00:00:00+00:00",
        "validation_from": "2026-01-16T00:00:00+00:00",
    }
    assert sides(table, split) == {"train": ["o7", "o6"], "validation": ["o5", "o4"], "test": ["o3", "o2"]}


def test_the_newest_row_is_a_test_row_without_a_label_delay() -> None:
    table = orders([40, 35, 25])
    split = boundaries(table, schema={"label_delay_days": 0})
    assert split["matured"] == "2026-02-10T00:00:00+00:00"
    assert keys(table, split, "test") == ["o1", "o0"]


@pytest.mark.parametrize(("column", "expected"), [(None, "order_id"), ("shop", "shop")])
def test_a_split_by_hash_uses_the_column_of_params_or_the_key(column: str | None, expected: str) -> None:
    split = boundaries(orders([0]), split=BY_HASH | ({"column": column} if column else {}))
    assert split == {"by": "hash", "salt": "s", "column": expected, "test": 0.3, "validation": 0.3}


moments = st.lists(st.integers(0, 120 * 24), min_size=2, max_size=40)


@settings(max_examples=10)
@given(moments)
def test_every_matured_row_is_on_exactly_one_side_and_the_newest_are_test_rows(hours: list[int]) -> None:
    table = orders([hour / 24 for hour in hours])
    keys_of_sides = sides(table, boundaries(table))
    at = {f"o{i}": hour for i, hour in enumerate(hours)}
    placed = [key for side in keys_of_sides.values() for key in side]
    assert len(placed) == len(set(placed))
    assert set(placed) == {key for key, hour in at.items() if hour <= max(hours) - 5 * 24}
    for earlier, later in itertools.combinations(SIDES, 2):
        if keys_of_sides[earlier] and keys_of_sides[later]:
            assert max(at[key] for key in keys_of_sides[earlier]) < min(at[key] for key in keys_of_sides[later])


@settings(max_examples=5)
@given(st.integers(2, 60), st.integers(1, 60))
def test_new_rows_move_no_row_to_another_side_of_a_split_by_hash(rows: int, more: int) -> None:
    before, after = orders([0.0] * rows), orders([0.0] * (rows + more))
    for side in SIDES:
        stayed = [key for key in keys(after, HASH, side) if int(key[1:]) < rows]
        assert sorted(stayed) == sorted(keys(before, HASH, side))


def test_a_split_by_hash_keeps_the_shares() -> None:
    sizes = {side: len(names) for side, names in sides(orders([0.0] * 4_000), HASH).items()}
    assert sum(sizes.values()) == 4_000
    assert sizes["test"] == pytest.approx(800, abs=100)
    assert sizes["validation"] == pytest.approx(600, abs=100)


def test_a_row_without_a_label_is_on_no_side() -> None:
    table = orders([0.0, 0.0, 0.0, 0.0], [True, None, False, None])
    assert sorted(key for names in sides(table, HASH).values() for key in names) == ["o0", "o2"]


def test_rows_seen_in_training_are_excluded_by_the_signature() -> None:
    table = ibis.memtable(orders([1.0, 50.0, 51.0, 100.0]))
    by_until = table.filter(is_unseen(table, "2026-02-21T00:00:00+00:00", None, "ordered_at"))
    assert CONNECTION.to_pyarrow(by_until)["order_id"].to_pylist() == ["o2", "o3"]  # day 51 is 21 February
    many = orders([0.0] * 300)
    table = ibis.memtable(many)
    by_split = table.filter(is_unseen(table, None, HASH, None))
    assert sorted(CONNECTION.to_pyarrow(by_split)["order_id"].to_pylist()) == sorted(keys(many, HASH, "test"))


def test_a_side_without_rows_or_with_one_class_is_refused_by_name() -> None:
    full = {"rows": 10, "positives": 2}
    stage.check({"train": full, "validation": full, "test": full})
    with pytest.raises(InputError, match="one class only in validation and no rows in test"):
        stage.check({"train": full, "validation": {"rows": 5, "positives": 0}, "test": {"rows": 0, "positives": 0}})


def test_counts_agree_with_the_sides() -> None:
    # One row is immature (day 40) and one has no label.
    table = ibis.memtable(orders([40, 30, 29, 28, 20, 19, 10, 9, 8, 7], [True, True, False, None] + [True, False] * 3))
    assert stage.counts(table, PARAMS, split_boundaries(table, PARAMS)) == {
        "train": {"rows": 4, "positives": 2},
        "validation": {"rows": 2, "positives": 1},
        "test": {"rows": 2, "positives": 1},
    }
