"""What a client may do with its connection besides asking: end it by half, ask for another protocol."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from tests.serving import live
from tests.serving.samples import GOOD

pytestmark = pytest.mark.xdist_group("serving-connections")
ROW = json.dumps(GOOD).encode()


def request(name, body=ROW, path="/predict", extra=""):
    """A request with the header `x-request-id: name`."""
    kind = "content-type: application/json"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{kind}\r\nx-request-id: {name}\r\n{extra}content-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def batch(rows):
    return b"[" + b",".join([ROW] * rows) + b"]"


def opened(service):
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def answers(connection):
    """Status and name of each answer until the service closes."""
    found = []
    with connection.makefile("rb") as received:
        while line := received.readline():
            headers = http.client.parse_headers(received)
            received.read(int(headers["content-length"]))
            found.append((int(line.split()[1]), headers["x-request-id"]))
    return found


@pytest.fixture(scope="module")
def service(logistic, tmp_path_factory):
    with live.serve(tmp_path_factory.mktemp("connections"), logistic.model.parent) as running:
        yield running
    assert "Traceback" not in running.stderr()


# Half a connection.


@pytest.mark.parametrize("rows", [None, 1, 100], ids=["row", "batch of 1", "batch of 100, which a thread scores"])
def test_a_client_that_ends_its_side_after_its_request_is_answered(service, rows):
    asked = request("half") if rows is None else request("half", batch(rows), "/predict_batch")
    with opened(service) as connection:
        connection.sendall(asked)
        connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == [(200, "half")]


def test_a_client_that_ends_its_side_after_several_requests_is_answered_each(service):
    with opened(service) as connection:
        connection.sendall(b"".join(request(f"half-{i}") for i in range(5)))
        connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == [(200, f"half-{i}") for i in range(5)]


def test_a_client_that_ends_its_side_within_its_second_request_is_answered_the_first(service):
    with opened(service) as connection:
        connection.sendall(request("whole") + request("cut")[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == [(200, "whole")]


@pytest.mark.parametrize("sent", [b"", b"POST /pre", request("cut")[:-1]], ids=["nothing", "a word", "half a body"])
def test_a_client_that_ends_its_side_before_its_request_is_whole_is_let_go(service, sent):
    with opened(service) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert answers(connection) == []
