"""Which passes there are: a fixed grid of time, cut where another version was assigned to production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.monitor.pass_record import PassRecord
from pipelines.repository.tags import Assignment

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # the grid begins here
DAY = timedelta(days=1)
LATE = timedelta(hours=1)  # the service writes its last rows, and a release its tag


@dataclass(frozen=True)
class Span:
    """The time in which a version was in production; without an end it still is."""

    assignment: Assignment
    start: datetime
    end: datetime | None


@dataclass(frozen=True)
class DuePass:
    """A pass to do: from `start` (inclusive) to `end` (exclusive), UTC, over an assignment's version."""

    assignment: Assignment
    start: datetime
    end: datetime


def production_spans(assignments: Iterable[Assignment]) -> list[Span]:
    """Return the spans of all assignments, the oldest first; an assignment of the same release begins no other span."""
    spans: list[Span] = []
    for assignment in assignments:
        if spans and spans[-1].assignment.release_id == assignment.release_id:
            continue
        if spans:
            spans[-1] = Span(spans[-1].assignment, spans[-1].start, assignment.assigned_at)
        spans.append(Span(assignment, assignment.assigned_at, None))
    return spans


def due_passes(
    assignments: Iterable[Assignment], every_days: int, until: datetime, done: Sequence[PassRecord]
) -> Iterator[DuePass]:
    """Yield the passes whose window ended at `until` or before and that are not done, in order.

    A window that overlaps a pass of the same release is not judged again: `every_days` was changed.
    """
    length = timedelta(days=every_days)
    spans = production_spans(assignments)
    if not spans:
        return
    start = MONDAY + (spans[0].start - MONDAY) // length * length
    while start + length <= until:
        for span in spans:
            begin, end = max(start, span.start), min(start + length, span.end or start + length)
            if begin < end and not any(
                record.release_id == span.assignment.release_id and record.start < end and begin < record.end
                for record in done
            ):
                yield DuePass(span.assignment, begin, end)
        start += length
