"""The time axis that all plots of the monitor's page share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.monitor.schedule import MONDAY


@dataclass(frozen=True)
class TimeAxis:
    """From times to coordinates between two ends; `releases` are drawn as vertical lines."""

    start: datetime
    end: datetime
    releases: tuple[datetime, ...] = ()

    def share(self, time: datetime) -> float:
        """Where a time is, from 0 to 1."""
        whole = max((self.end - self.start).total_seconds(), 1.0)
        return min(max((time - self.start).total_seconds() / whole, 0.0), 1.0)

    def ticks(self, count: int = 5) -> list[tuple[datetime, str]]:
        """Starts of days or months, at most `count`, with their labels."""
        days = (self.end - self.start).days
        if days <= 14 * count:
            step = next(step for step in (1, 2, 7, 14) if step * count >= days)
            first = MONDAY + timedelta(days=math.ceil((self.start - MONDAY) / timedelta(days=step)) * step)
            times = [first + timedelta(days=step * i) for i in range(count + 1)]
            return [(time, f"{time.day} {time:%b}") for time in times if time <= self.end][:count]
        months = [
            datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC)
            for n in range(*(_months(self.start) + 1, _months(self.end) + 1))
        ]
        step = next(
            (step for step in (1, 2, 3, 6, 12) if len(months) <= step * count), 12 * math.ceil(len(months) / 12 / count)
        )
        shown = [month for month in months if _months(month) % step == 0]
        return [(time, f"{time:%b}" + f" {time:%Y}" * (not i or time.month == 1)) for i, time in enumerate(shown)]


def _months(time: datetime) -> int:
    return time.year * 12 + time.month - 1
