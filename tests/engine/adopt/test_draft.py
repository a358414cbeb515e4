"""The decisions of an adoption: task, class, key, split, and what the model must not see."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.cli.errors import InputError
from tests.engine.adopt.tables import churn, rents, small, visits

ROWS = 400
DRAW = np.random.default_rng(1)


def table(**columns):
    return {"id": list(range(ROWS)), "x": DRAW.normal(size=ROWS).tolist(), **columns}


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        (["Yes", "No", "No"], "classification", "Yes"),
        (["1", "0"], "classification", "1"),
        (["1.0", "0.0", ""], "classification", "1"),
        (["TRUE", "FALSE"], "classification", "true"),
        (["low", "low", "high"], "classification", "high"),
        ([n / 7 for n in range(50)], "regression", None),
        (list(range(50)), "regression", None),
    ],
)
def test_task_and_positive_class(draft, values, task, positive):
    decided = draft(table(y=(values * ROWS)[:ROWS]), "y")
    assert (decided.task, decided.positive) == (task, positive)


def test_three_classes_are_refused_with_what_to_do(draft):
    with pytest.raises(InputError, match="3 classes") as refused:
        draft(table(y=(["a", "b", "b", "c"] * ROWS)[:ROWS]), "y")
    assert "POSITIVE=" in refused.value.remedy
    decided = draft(table(y=(["a", "b", "b", "c"] * ROWS)[:ROWS]), "y", positive="c")
    assert (decided.positive, decided.rest) == ("c", True)


@pytest.mark.parametrize("other", [" ", "  "])
def test_a_blank_cell_of_the_target_is_no_class(draft, other):
    decided = draft(table(y=(["Yes", "No", "No", other] * ROWS)[:ROWS]), "y")
    assert decided.positive == "Yes" and any("blank cells" in line for line in decided.unsure)


def test_words_that_may_mean_a_missing_label_are_named(draft):
    with pytest.raises(InputError, match="3 classes") as refused:
        draft(table(y=(["Yes", "No", "No", "Yes", "NA"] * ROWS)[:ROWS]), "y")
    assert "POSITIVE=NA" not in refused.value.remedy and "empty" in refused.value.remedy
    assert draft(table(y=(["TRUE", "FALSE", "NA"] * ROWS)[:ROWS]), "y").positive == "true"


def test_few_whole_numbers_can_be_measurements(draft):
    with pytest.raises(InputError, match="6 classes") as refused:
        draft(table(y=[n % 6 for n in range(ROWS)]), "y")
    assert "TASK=regression" in refused.value.remedy
    assert draft(table(y=[n % 6 for n in range(ROWS)]), "y", task="regression").task == "regression"


def test_a_target_that_is_not_there_names_columns_like_it(draft):
    with pytest.raises(InputError, match="churned"):
        draft(table(churned=["a", "b"] * (ROWS // 2)), "churn")


def test_a_key_is_made_where_no_column_is_one(draft):
    decided = draft({"a": [1.5, 2.5] * 200, "b": list("xyzw") * 100, "y": ["no", "yes"] * 200}, "y")
    assert (decided.make_key, decided.key) == ("hash", "row_id") and any("396" in line for line in decided.unsure)


@pytest.mark.parametrize(
    ("steps", "query", "made"),
    [
        ([1, 1, 1], None, "row_number"),  # the time rises from row to row
        ([1, 0, 1], None, "hash"),
        ([1, 2, -1], None, "hash"),
        ([1, 0, 1], "SELECT * FROM t\nORDER BY at, x", "row_number"),
        ([1, 0, 1], "SELECT rank() OVER (ORDER BY at) FROM t", "hash"),
    ],
)
def test_a_key_is_the_number_of_the_row_only_where_the_order_is_fixed(draft, steps, query, made):
    days = np.datetime64("2025-01-01") + np.cumsum(np.resize(steps, 200))
    decided = draft(
        {"at": days.astype(str).tolist(), "x": [1.5, 2.5] * 100, "y": ["no", "yes"] * 100}, "y", query=query
    )
    assert decided.make_key == made and decided.key_why in " ".join(decided.decided)


def test_rows_of_one_patient_stay_together(draft):
    decided = draft(visits(), "readmitted")
    assert decided.split == {"by": "hash", "salt": "readmitted", "test": 0.2, "validation": 0.2, "column": "patient_id"}
    assert "patient_id" not in decided.use and "value_" in decided.use


def test_the_newest_rows_test_where_there_is_a_time(draft):
    decided = draft(small(), "response", positive="good")
    assert decided.event_time == "taken" and decided.split["by"] == "time"
    assert decided.derive.keys() == {"hour", "weekday"}


def test_names_and_times_that_tell_too_much_are_left_out(draft):
    decided = draft(churn(400), "Churn")
    assert set(decided.after) == {"ChurnReason"} and set(decided.sensitive) == {"gender"}
    days = [f"2025-{1 + n % 9:02d}-{1 + n % 27:02d}" for n in range(ROWS)]
    later = [f"2025-{2 + n % 9:02d}-{1 + n % 27:02d}" for n in range(ROWS)]
    decided = draft(table(ordered_at=days, shipped_at=later, y=[0, 1] * (ROWS // 2)), "y")
    assert decided.event_time == "ordered_at" and "later than ordered_at" in decided.after["shipped_at"]


def test_a_table_without_an_input_is_refused(draft):
    for columns in ({"id": list(range(ROWS))}, {}):
        with pytest.raises(InputError, match="no column is left"):
            draft({**columns, "y": [0, 1] * (ROWS // 2)}, "y")


def test_a_table_of_few_rows_is_refused(draft):
    with pytest.raises(InputError, match="49 rows"):
        draft({"x": [n / 7 for n in range(49)], "y": [n % 2 for n in range(49)]}, "y")


def test_a_short_name_of_the_target_marks_no_other_column(draft):
    decided = draft(table(year=list(range(ROWS)), y=[0, 1] * (ROWS // 2)), "y")
    assert not decided.after


def test_a_label_time_before_the_event_is_not_taken(draft):
    days = [f"2025-{1 + n % 9:02d}-{1 + n % 27:02d}" for n in range(ROWS)]
    decided = draft(table(opened_at=days, labelled_at=["2025-03-01"] * 9 + days[9:], y=[0, 1] * (ROWS // 2)), "y")
    assert decided.label_time is None and "but earlier than opened_at" in decided.after["labelled_at"]


def test_a_time_ahead_of_the_clock_is_not_the_events_time(draft):
    start = datetime.now(UTC) - timedelta(days=ROWS - 1, hours=-3)  # the newest is three hours ahead
    times = [(start + timedelta(days=n)).isoformat(" ", "seconds")[:19] for n in range(ROWS)]
    decided = draft(table(at=times, y=[0, 1] * (ROWS // 2)), "y")
    assert decided.event_time is None and any("later than now" in line for line in decided.unsure)


def test_a_made_key_and_a_time_go_together(draft):
    decided = draft(rents(), "Warmmiete")
    assert decided.make_key == "hash" and decided.event_time == "Eingestellt am" and decided.task == "regression"
