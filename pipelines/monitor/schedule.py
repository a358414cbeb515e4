"""Which passes there are: a fixed grid of time, cut where another version was assigned to production."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from pipelines.monitor.pass_record import PassRecord
from pipelines.repository.tags import Assignment

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # the grid begins here
DAY = timedelta(days=1)
LATE = timedelta(hours=1)  # the service writes its last rows, and a release its tag


@dataclass(frozen=True)
class DuePass:
    """A pass to do: from `start` (inclusive) to `end` (exclusive), UTC, over an assignment's version."""

    assignment: Assignment
    start: datetime
    end: datetime


def due_passes(
    assignments: Iterable[Assignment], every_days: int, until: datetime, done: Sequence[PassRecord]
) -> Iterator[DuePass]:
    """Yield the passes whose window ended at `until` or before and that are not done, in order.

    An assignment of the same release begins no other pass. A window that overlaps a pass of the same release is not
    judged again: `every_days` was changed.
    """
    length = timedelta(days=every_days)
    exchanges = [next(group) for _, group in groupby(assignments, lambda item: item.release_id)]
    ends = [*(item.assigned_at for item in exchanges[1:]), until]
    start = MONDAY + (exchanges[0].assigned_at - MONDAY) // length * length if exchanges else until
    while start + length <= until:
        for assignment, span_end in zip(exchanges, ends, strict=True):
            begin, end = max(start, assignment.assigned_at), min(start + length, span_end)
            if begin < end and not any(
                record.release_id == assignment.release_id and record.start < end and begin < record.end
                for record in done
            ):
                yield DuePass(assignment, begin, end)
        start += length
