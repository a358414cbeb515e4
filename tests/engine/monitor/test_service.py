"""The problems of the monitor itself and of the service, which is a server of a few lines."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from pipelines.monitor.service import service_alarms
from pipelines.repository.tags import Assignment
from tests.engine.monitor.log_files import RELEASE
from tests.engine.monitor.quality_cases import START, WEEK, assignment, record

HOUR = timedelta(hours=1)
NOW = START + WEEK + 2 * HOUR


class Service(BaseHTTPRequestHandler):
    """Responds with the texts of `pages`, and with 500 for those that are None."""

    pages: ClassVar[dict[str, str | None]] = {}

    def do_GET(self) -> None:
        text = self.pages.get(self.path, "")
        self.send_response(500 if text is None else 200 if self.path in self.pages else 404)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str | None]]:
    """The pages of a service that runs as it should."""
    Service.pages = {"/info": json.dumps({"release": RELEASE}), "/metrics": metrics(10_000, 0)}
    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SERVICE_URL", f"http://127.0.0.1:{server.server_port}/")
    yield Service.pages
    server.shutdown()
    thread.join()
    server.server_close()


def metrics(written: int, dropped: int) -> str:
    return (
        "# TYPE mainline_log_rows_written_total counter\n"
        f"mainline_log_rows_written_total {written}.0\nmainline_log_rows_dropped_total {dropped}.0\n"
    )


def alarms(before: int = 1, rows: int = 700, weeks_later: int = 0, canary: Assignment | None = None) -> dict[str, str]:
    """Name -> message, after a pass of so many rows."""
    passes = [record(0, None, rows=rows)]
    now = NOW + weeks_later * WEEK
    found = service_alarms(passes[:before], passes, [assignment()], 7, now, now - 2 * HOUR, canary=canary)
    assert {alarm.problem for alarm in found} <= {"service"}
    return {alarm.name: alarm.message for alarm in found}


def test_a_service_in_order_raises_no_alarm(service: dict[str, str | None]) -> None:
    assert alarms() == {}


def test_a_service_that_responds_with_the_canary_s_release_id_raises_no_alarm(
    service: dict[str, str | None],
) -> None:
    service["/info"] = json.dumps({"release": "fedcba987654"})
    assert alarms().keys() == {"release"}
    other = replace(assignment(), annotation=assignment().annotation.model_copy(update={"release": "fedcba987654"}))
    assert alarms(canary=other) == {}


def test_without_a_url_the_service_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_URL", raising=False)
    assert alarms() == {} == alarms(before=0, weeks_later=5)


def test_a_service_with_another_release_id_is_named(service: dict[str, str | None]) -> None:
    service["/info"] = json.dumps({"release": "ba9876543210"})
    assert "ba9876543210" in alarms()["release"] and RELEASE in alarms()["release"]
    service["/info"] = json.dumps({"release": "<b>@team"})
    assert "<b>" not in alarms()["release"]


@pytest.mark.parametrize(("dropped", "is_alarm"), [(9, False), (50, True)])
def test_dropped_rows_of_the_log_are_counted(service: dict[str, str | None], dropped: int, is_alarm: bool) -> None:
    service["/metrics"] = metrics(10_000, dropped)
    assert ("rows" in alarms()) == is_alarm
    assert not is_alarm or "50 of 10,050 rows" in alarms()["rows"]


def front(unavailable: int, fallback: int) -> str:
    backends = {"unavailable": unavailable, "fallback": fallback}
    lines = [f'haproxy_backend_http_requests_total{{proxy="{name}"}} {count}' for name, count in backends.items()]
    return "\n".join(['haproxy_frontend_http_requests_total{proxy="public"} 10000', *lines]) + "\n"


def test_requests_that_no_replica_answered_are_counted_at_the_front(service: dict[str, str | None]) -> None:
    service["/metrics"] = front(5, 5)
    assert alarms() == {}
    service["/metrics"] = front(20, 30)
    assert "50 of 10,000 requests" in alarms()["front"] and "30 of them" in alarms()["front"]


def test_dropped_rows_of_all_replicas_are_counted(service: dict[str, str | None]) -> None:
    service["/metrics"] = front(0, 0)
    service |= {"/metrics/production/1": metrics(4_000, 30), "/metrics/production/2": metrics(6_000, 20)}
    assert "50 of 10,050 rows" in alarms()["rows"]


def test_operations_url_is_asked_in_place_of_the_service(
    service: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATIONS_URL", os.environ["SERVICE_URL"])
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")
    assert alarms() == {}


@pytest.mark.parametrize("info", [None, "no JSON", "[]", "{}"])
def test_a_service_without_an_answer_is_an_alarm(service: dict[str, str | None], info: str | None) -> None:
    service["/info"] = info
    assert set(alarms()) == {"service"}


@pytest.mark.parametrize("number", ["many", "1e400", "NaN", "-5"])
def test_a_counter_that_is_no_count_ends_no_run(service: dict[str, str | None], number: str) -> None:
    service["/metrics"] = metrics(10_000, 0).replace("total 0.0", f"total {number}")
    assert set(alarms()) <= {"service", "rows"}


def test_a_front_that_has_a_page_for_every_number_ends(
    service: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Everything(dict[str, str | None]):
        def __contains__(self, _: object) -> bool:
            return True

        def get(self, path: str, _: object = None) -> Any:
            return dict.get(self, path, metrics(10, 0))

    monkeypatch.setattr(Service, "pages", Everything(service | {"/metrics": front(0, 0)}))
    assert alarms() == {}


def test_ten_minutes_without_a_request_are_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_URL", raising=False)
    short = record(0, None, rows=0)
    short = short.model_copy(update={"start": short.end - HOUR / 6})
    assert service_alarms([], [short], [assignment()], 7, NOW, NOW - 2 * HOUR) == []


def test_a_service_that_does_not_run_is_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:9")
    assert "ConnectionError" in alarms()["service"]


def test_a_pass_without_rows_and_a_monitor_that_did_not_run_are_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVICE_URL", raising=False)
    assert set(alarms(rows=0)) == {"prediction log"}
    assert alarms(weeks_later=1) == {}
    assert "21 days" in alarms(weeks_later=3)["monitor"]
