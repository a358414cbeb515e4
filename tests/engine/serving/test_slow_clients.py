"""Clients of the running service that are slow, disconnect, or do not send HTTP."""

import http.client
import json
import socket

import pytest

from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-slow-clients")]


@pytest.fixture(scope="module")
def service(logistic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with live.serve(folder, logistic.model.parent, {**live.LIMITS, "timeout_seconds": 0.5}) as running:
        yield running
    assert "Traceback" not in running.stderr()


def begin_request(service, path="/predict"):
    """Return a connection that announced a body of 1,000 bytes and sent 10."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b" " * 10)
    return connection


@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_a_client_that_stops_within_its_body_gets_408(service, path):
    with begin_request(service, path) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert json.loads(answer.read())["error"] == "the body did not arrive within 0.5 s"
        assert connection.recv(1) == b""


def test_a_client_that_sends_byte_by_byte_gets_408(service):
    with begin_request(service) as connection:
        connection.settimeout(0.05)
        while True:
            connection.sendall(b" ")
            try:
                received = connection.recv(100)
            except TimeoutError:
                continue
            break
        assert received.startswith(b"HTTP/1.1 408 ")


def test_slow_clients_do_not_delay_others(service):
    slow = [begin_request(service) for _ in range(50)]
    answer = service.ask("POST", "/predict", GOOD)
    for connection in slow:
        connection.close()
    assert answer.status == 200


def test_a_request_of_a_client_that_disconnects_is_not_counted(service):
    before = service.counters()
    begin_request(service).close()
    assert service.ask("POST", "/predict", GOOD).status == 200
    after = service.counters()
    rise = {
        name: after[name] - before.get(name, 0) for name in after if name[:2] == ("mainline_requests_total", "/predict")
    }
    assert {name[2]: count for name, count in rise.items() if count} == {"200": 1}


def test_a_connection_without_http_is_refused(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
    assert service.ask("GET", "/readyz").status == 200
