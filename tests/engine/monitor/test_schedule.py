"""Which passes are due: a fixed grid, cut by assignments."""

from datetime import UTC, datetime, timedelta

from pipelines.monitor.schedule import LATE, DuePass, due_passes
from pipelines.repository.tags import Annotation, Assignment
from tests.engine.monitor.records import record

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def at(days: float) -> datetime:
    return MONDAY + timedelta(days=days)


def assignment(release: str, days: float) -> Assignment:
    annotation = Annotation(
        release=release * 12,
        image=f"r@sha256:{'a' * 64}",
        model="m",
        signature="s",
        version=f"fraud@v{release}.0.0",
        main_commit="c",
    )
    return Assignment(f"fraud#production#{release}", 1, "c", at(days), annotation)


def due(*assignments: Assignment, now: float, every: int = 7, done: tuple[DuePass, ...] = ()) -> list[DuePass]:
    records = [record(item.start, item.end, item.assignment.version, item.assignment.release_id) for item in done]
    return list(due_passes(assignments, every, at(now) - LATE, records))


def days(passes: list[DuePass]) -> list[tuple[str, float, float]]:
    day = timedelta(days=1)
    return [(item.assignment.release_id[0], (item.start - MONDAY) / day, (item.end - MONDAY) / day) for item in passes]


def test_passes_lie_on_the_grid_of_weeks_since_monday() -> None:
    assert days(due(assignment("1", -7), now=15)) == [("1", -7, 0), ("1", 0, 7), ("1", 7, 14)]


def test_a_pass_is_due_an_hour_after_its_end() -> None:
    assert days(due(assignment("1", 0), now=7 + 0.9 / 24)) == []
    assert days(due(assignment("1", 0), now=7 + 1 / 24)) == [("1", 0, 7)]


def test_the_first_pass_begins_with_the_first_assignment() -> None:
    assert days(due(assignment("1", 2.5), now=8)) == [("1", 2.5, 7)]


def test_an_assignment_splits_a_pass_and_the_same_release_again_does_not() -> None:
    assignments = [assignment("1", 0), assignment("2", 3.5), assignment("2", 5), assignment("1", 8)]
    assert days(due(*assignments, now=15)) == [("1", 0, 3.5), ("2", 3.5, 7), ("2", 7, 8), ("1", 8, 14)]


def test_passes_that_are_done_are_not_due_and_missed_ones_are_made_up_for_in_order() -> None:
    first = due(assignment("1", 0), now=36)
    assert len(first) == 5
    assert due(assignment("1", 0), now=36, done=(first[0], first[2])) == [first[1], first[3], first[4]]


def test_after_a_change_of_every_days_no_time_is_judged_twice() -> None:
    done = tuple(due(assignment("1", 0), now=15))
    assert days(due(assignment("1", 0), now=18, every=1, done=done)) == [("1", 14, 15), ("1", 15, 16), ("1", 16, 17)]


def test_without_an_assignment_no_pass_is_due() -> None:
    assert due(now=100) == []
