"""The problems of the monitor itself and of the service that it watches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import requests

from pipelines.monitor.pass_record import Alarm, PassRecord
from pipelines.monitor.schedule import LATE
from pipelines.repository.tags import Assignment

VARIABLE = "SERVICE_URL"
MAX_DROPPED = 0.001  # of the rows of the prediction log
_SECONDS = 10
_COUNTER = r"(?m)^mainline_log_rows_{}_total (\S+)$"


def service_alarms(
    before: Sequence[PassRecord],
    after: Sequence[PassRecord],
    assignments: Sequence[Assignment],
    every_days: int,
    now: datetime,
    is_empty: bool = False,
) -> list[Alarm]:
    """Return an alarm for each problem.

    Args:
        before, after: the passes before and after this run, the oldest first.
        assignments: to production, the oldest first; at least one.
        is_empty: whether the prediction log has no date, although a pass was due.
    """
    problems = [
        *_passes_missed(before, timedelta(days=every_days), now),
        *_no_rows(after, assignments[0], is_empty),
        *_of_service(os.environ.get(VARIABLE, "").rstrip("/"), assignments[-1]),
    ]
    return [Alarm(problem="service", name=name, message=message) for name, message in problems]


def _passes_missed(passes: Sequence[PassRecord], length: timedelta, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield a problem if the passes before this run ended more than twice their length ago."""
    newest = max((record.end for record in passes), default=None)
    if newest is not None and now - newest > 2 * length + LATE:
        days = (now - newest).days
        yield "monitor", f"until this run there was no pass for {days} days; a pass is due every {length.days} days"


def _no_rows(passes: Sequence[PassRecord], first: Assignment, is_empty: bool) -> Iterator[tuple[str, str]]:
    newest = max(passes, key=lambda record: record.end, default=None)
    if newest is None and is_empty:
        since = f"{first.version} was put into production on {first.assigned_at:%Y-%m-%d}"
        yield "prediction log", f"the prediction log is empty, and {since}"
    if newest is not None and not newest.rows:
        span = f"{newest.start:%Y-%m-%d %H:%M} to {newest.end:%Y-%m-%d %H:%M} UTC"
        yield "prediction log", f"the prediction log holds no usable prediction of {newest.version} from {span}"


def _of_service(url: str, assignment: Assignment) -> Iterator[tuple[str, str]]:
    """Yield the problems of the service at SERVICE_URL; without a URL none is known."""
    if not url:
        return
    try:
        release = _get(f"{url}/info").json()["release"]
        metrics = _get(f"{url}/metrics").text
    except requests.RequestException as error:
        yield "service", f"the service does not respond as expected: {type(error).__name__}"
        return
    except (ValueError, TypeError, KeyError):
        yield "service", "/info of the service names no release id"
        return
    if release != assignment.release_id:
        shown = str(release)[:40] if re.fullmatch(r"[\w.-]+", str(release)) else "another text"
        yield (
            "release",
            f"the service has release id {shown}; {assignment.version} ({assignment.release_id}) is in production",
        )
    dropped, written = (_counter(metrics, name) for name in ("dropped", "written"))
    if dropped > MAX_DROPPED * (dropped + written):
        yield (
            "rows",
            f"the service lost {dropped:,.0f} of {dropped + written:,.0f} rows of the prediction log since its start",
        )


def _get(url: str) -> requests.Response:
    response = requests.get(url, timeout=_SECONDS)
    response.raise_for_status()
    return response


def _counter(metrics: str, name: str) -> float:
    match = re.search(_COUNTER.format(name), metrics)
    return float(match[1]) if match else 0.0
