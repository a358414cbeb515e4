"""The problems of the monitor itself and of the service that it watches."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile

import requests

from pipelines.monitor.pass_record import Alarm, PassRecord
from pipelines.monitor.schedule import DAY, LATE, DuePass
from pipelines.repository.tags import Assignment

VARIABLE = "SERVICE_URL"
OPERATIONS = "OPERATIONS_URL"  # of a front, whose public port has no metrics
MAX_DROPPED = 0.001  # of the rows of the prediction log
MAX_REPLICAS = 100
MAX_UNANSWERED = 0.001  # of the requests to a front: those that no replica answered
_SECONDS = 10
_ROWS = "mainline_log_rows_{}_total"
_BACKEND = 'haproxy_backend_http_requests_total{{proxy="{}"}}'
_REQUESTS = 'haproxy_frontend_http_requests_total{proxy="public"}'


def service_alarms(
    before: Sequence[PassRecord],
    after: Sequence[PassRecord],
    assignments: Sequence[Assignment],
    every_days: int,
    now: datetime,
    logged_until: datetime | None,
    waiting: DuePass | None = None,
    canary: Assignment | None = None,
) -> list[Alarm]:
    """Return an alarm for each problem.

    Args:
        before, after: the passes before and after this run, the oldest first.
        assignments: to production, the oldest first; at least one.
        logged_until: the newest date of the prediction log; None if it is empty.
        waiting: the first pass that is due by the clock, and whose window is not over by the log.
        canary: that runs beside production; the service may respond with its release id, too.
    """
    url = (os.environ.get(OPERATIONS) or os.environ.get(VARIABLE, "")).rstrip("/")
    problems = [
        *_passes_missed(before, every_days * DAY, min(now, logged_until or now)),
        *_no_rows(after, assignments[0], logged_until, waiting, now),
        *_of_service(url, assignments[-1], canary),
    ]
    return [Alarm(problem="service", name=name, message=message) for name, message in problems]


def _passes_missed(passes: Sequence[PassRecord], length: timedelta, until: datetime) -> Iterator[tuple[str, str]]:
    """Yield a problem if the passes before this run ended more than twice their length before `until`."""
    newest = max((record.end for record in passes), default=None)
    if newest is not None and until - newest > 2 * length:
        days = (until - newest).days
        yield "monitor", f"until this run there was no pass for {days} days; a pass is due every {length.days} days"


def _no_rows(
    passes: Sequence[PassRecord],
    first: Assignment,
    logged_until: datetime | None,
    waiting: DuePass | None,
    now: datetime,
) -> Iterator[tuple[str, str]]:
    newest = max(passes, key=lambda record: record.end, default=None)
    if logged_until is None:
        since = f"{first.version} was put into production on {first.assigned_at:%Y-%m-%d}"
        yield "prediction log", f"the prediction log is empty, and {since}"
    elif waiting and now - waiting.end > DAY + LATE:
        ends = f"the prediction log ends on {logged_until:%Y-%m-%d}, and it is {now:%Y-%m-%d}"
        window = f"the pass from {waiting.start:%Y-%m-%d} to {waiting.end:%Y-%m-%d} waits for a later prediction"
        yield "prediction log", f"{ends}: {window}"
    elif newest is not None and not newest.rows and newest.end - newest.start >= DAY:
        span = f"{newest.start:%Y-%m-%d %H:%M} to {newest.end:%Y-%m-%d %H:%M} UTC"
        yield "prediction log", f"the prediction log holds no usable prediction of {newest.version} from {span}"


def _of_service(url: str, assignment: Assignment, canary: Assignment | None) -> Iterator[tuple[str, str]]:
    """Yield the problems of the service at a URL; without a URL none is known."""
    if not url:
        return
    try:
        release = _get(f"{url}/info").json()["release"]
        metrics = _read_metrics(url)
        unanswered, fallbacks = (_counter(metrics, _BACKEND.format(name)) for name in ("unavailable", "fallback"))
        dropped, written = (_counter(metrics, _ROWS.format(name)) for name in ("dropped", "written"))
        received, missed = _counter(metrics, _REQUESTS), unanswered + fallbacks
    except requests.RequestException as error:
        yield "service", f"the service does not respond as expected: {type(error).__name__}"
        return
    except (ValueError, TypeError, KeyError):
        yield "service", "/info of the service names no release id, or a counter of /metrics is no number"
        return
    if release not in (assignment.release_id, canary and canary.release_id):
        shown = str(release)[:40] if re.fullmatch(r"[\w.-]+", str(release)) else "another text"
        yield (
            "release",
            f"the service has release id {shown}; {assignment.version} ({assignment.release_id}) is in production",
        )
    if missed > MAX_UNANSWERED * received:
        yield (
            "front",
            f"no replica answered {missed:,.0f} of {received:,.0f} requests since the front's start; "
            f"{fallbacks:,.0f} of them got serving.fallback",
        )
    if dropped > MAX_DROPPED * (dropped + written):
        yield (
            "rows",
            f"the service lost {dropped:,.0f} of {dropped + written:,.0f} rows of the prediction log since its start",
        )


def _read_metrics(url: str) -> str:
    """Return the metrics of a service, or of a front and of all its replicas of production."""
    text = _get(f"{url}/metrics").text
    if "haproxy_" in text:
        pages = (requests.get(f"{url}/metrics/production/{n}", timeout=_SECONDS) for n in range(1, MAX_REPLICAS + 1))
        # A replica that is down has no metrics (503), and after the last one there are no more (404).
        text += "".join(page.text for page in takewhile(lambda page: page.status_code != 404, pages))
    return text


def _get(url: str) -> requests.Response:
    response = requests.get(url, timeout=_SECONDS)
    response.raise_for_status()
    return response


def _counter(metrics: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"(?m)^{re.escape(name)} (\S+)$", metrics))
