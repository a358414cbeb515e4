"""The time axis that all plots of the monitor's page share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from pipelines.monitor.schedule import DAY, MONDAY


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
        """Starts of days, or Mondays, at most `count`, with their labels; the first one of a year names it."""
        days = (self.end - self.start).days
        step = next((step for step in (1, 2) if step * count >= days), 7 * math.ceil(days / 7 / count)) * DAY
        first = MONDAY + math.ceil((self.start - MONDAY) / step) * step
        times = [time for time in (first + step * i for i in range(count)) if time <= self.end]
        years = [None, *(time.year for time in times)]
        return [
            (time, f"{time.day} {time:%b}" + f" {time.year}" * (time.year != year))
            for time, year in zip(times, years, strict=False)
        ]
