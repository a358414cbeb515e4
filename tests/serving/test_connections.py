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


# Another protocol.

# As Java's client asks by default where the address is not https.
H2C = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n"
LAST = request("last", extra="connection: close\r\n")


@pytest.mark.parametrize("extra", [H2C, "upgrade: websocket\r\nconnection: keep-alive, upgrade\r\n"], ids=["h2c", "ws"])
def test_a_request_that_offers_another_protocol_is_answered_in_this_one(service, extra):
    with opened(service) as connection:
        connection.sendall(request("offer", extra=extra) + LAST)
        assert answers(connection) == [(200, "offer"), (200, "last")]


def test_the_body_of_a_request_that_offers_another_protocol_is_no_request(service):
    inner = request("smuggled")
    with opened(service) as connection:
        head, _, _ = request("offer", inner, extra=H2C).partition(inner)
        connection.sendall(head)
        service.ask("GET", "/livez")  # by now the service has read the head alone
        connection.sendall(inner + LAST)
        assert answers(connection) == [(400, "offer"), (200, "last")]


def test_a_request_that_offers_another_protocol_may_come_byte_by_byte(service):
    with opened(service) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("offer", extra=H2C):
            connection.sendall(bytes([byte]))
        connection.sendall(LAST)
        assert answers(connection) == [(200, "offer"), (200, "last")]


def test_a_body_in_chunks_with_an_offer_of_another_protocol_is_read(service):
    head = request("offer", b"", extra=H2C + "transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"")
    with opened(service) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ROW), ROW) + LAST)
        assert answers(connection) == [(200, "offer"), (200, "last")]


def test_many_offers_at_once_are_answered_each(service):
    offer = b"GET /info HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\nx-request-id: %d\r\n\r\n"
    with opened(service) as connection:
        connection.sendall(b"".join(offer % i for i in range(1_500)) + LAST)
        assert answers(connection) == [*((200, str(i)) for i in range(1_500)), (200, "last")]


def test_a_websocket_is_answered_as_any_request(service):
    headers = {"Connection": "upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    assert service.ask("GET", "/predict", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **headers).status == 405


@pytest.mark.parametrize("head", ["CONNECT x:1", "GET x:1"])
def test_a_tunnel_or_a_wrong_address_is_refused_and_nothing_that_follows_is_read(service, head):
    with opened(service) as connection:
        connection.sendall(
            head.encode() + b" HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + LAST
        )
        assert answers(connection) == [(400, None)]
