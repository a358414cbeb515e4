"""What a client may do with its connection besides asking: end it by half, offer another protocol, be silent,
be many."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import uvicorn

from serving import limits
from serving.protocol import Protocol
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-connections")]
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


LAST = request("last", extra="connection: close\r\n")


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
        assert [status for status, _ in answers(connection)] == [400]


# A body that is not read.


def unread(method, path, kind="application/json"):
    """A head that announces a body which its client may keep to itself, since it asks first."""
    more = f"content-type: {kind}\r\nexpect: 100-continue\r\ncontent-length: 500"
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (unread("POST", "/nope"), 404),
        (unread("PUT", "/predict"), 405),
        (unread("POST", "/info"), 405),
        (unread("POST", "/predict", "text/plain"), 415),
        (unread("GET", "/info"), 200),
        (unread("GET", "/nope").replace(b"content-length: 500", b"transfer-encoding: chunked"), 404),
    ],
)
def test_where_a_body_was_announced_and_not_read_the_connection_ends_with_the_answer(service, head, status):
    with opened(service) as connection:
        connection.sendall(head)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.read()
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/predict", 405), ("GET", "/info", 200)]
)
def test_a_request_without_a_body_leaves_the_connection_open(service, method, path, status):
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode()
    with opened(service) as connection:
        connection.sendall(head + LAST)
        assert [found for found, _ in answers(connection)] == [status, 200]


# Nonsense.


@pytest.mark.parametrize("rows", [None, 100], ids=["row", "batch of 100, which a thread scores"])
def test_what_came_before_something_that_is_not_http_is_answered_first_and_alone(service, rows):
    asked = request("whole") if rows is None else request("whole", batch(rows), "/predict_batch")
    with opened(service) as connection:
        connection.sendall(asked + b"this is not HTTP\r\n\r\n" + LAST)
        assert answers(connection) == [(200, "whole")]


def test_what_is_not_http_is_refused_as_anything_is_and_leaves_no_line_behind(service):
    before = service.stderr()
    for _ in range(20):
        with opened(service) as connection:
            connection.sendall(b"this is not HTTP\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert json.loads(answer.read()) == {
                "error": "this is not HTTP",
                "request_id": answer.headers["x-request-id"],
                "fields": [],
            }
    assert service.stderr() == before


# Much.

LONG = "x" * 9_000


def with_headers(name, number, value=LONG):
    return request(name, extra="".join(f"x-{i}: {value}\r\n" for i in range(number)))


def statuses(service, *parts):
    """Of the answers to what is sent by one client, as far as it can be sent."""
    with opened(service) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(0.01)  # so that parts come one by one, most times
        return [status for status, _ in answers(connection)]


def test_headers_of_up_to_64_kb_are_taken_whatever_came_before_them(service):
    before = request("before", batch(100) + b" " * 300_000, "/predict_batch")
    asked = before + with_headers("long", 7) + LAST
    assert statuses(service, asked) == [200, 200, 200]
    assert statuses(service, asked[:-70_000], asked[-70_000:-30_000], asked[-30_000:]) == [200, 200, 200]


@pytest.mark.parametrize("head", [with_headers("long", 8), with_headers("long", 1, LONG * 8)], ids=["many", "one"])
def test_headers_of_more_than_64_kb_are_refused(service, head):
    assert statuses(service, head) == [431]
    assert statuses(service, head[:30_000], head[30_000:60_000], head[60_000:]) == [431]
    assert statuses(service, request("before") + head) in ([200], [200, 431])


def test_headers_without_an_end_are_refused(service):
    with opened(service) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /info HTTP/1.1\r\nx: ")
        for _ in range(200):
            connection.sendall(b"x" * 100_000)
        raise AssertionError("20 MB were taken")


@pytest.mark.parametrize("extra", [b"0\r\nx: ", b"1;x="], ids=["trailer", "extension"])
def test_what_surrounds_a_body_in_chunks_without_an_end_is_refused(service, extra):
    head = request("endless", b"", extra="transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"")
    with opened(service) as connection, suppress(ConnectionError):
        connection.sendall(head + extra)
        for _ in range(200):
            connection.sendall(b"x" * 100_000)
        raise AssertionError("20 MB were taken")


# Silence.


@pytest.fixture(scope="module")
def impatient(logistic, tmp_path_factory):
    few = {**live.LIMITS, "timeout_seconds": 0.5}
    with live.serve(tmp_path_factory.mktemp("impatient"), logistic.model.parent, few) as running:
        yield running
    assert running.stderr().count("\n") <= 1  # that PREDICTION_LOG_SALT is not set


@pytest.mark.parametrize(
    "sent", [b"", b"\r\n", LAST[:20], LAST[:90]], ids=["nothing", "a line", "a word", "half a head"]
)
def test_a_client_whose_head_does_not_come_is_let_go(impatient, sent):
    with opened(impatient) as connection:
        connection.sendall(sent)
        assert answers(connection) == []


def until_closed(connection, byte):
    """Send a byte again and again."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection.sendall(byte)
            if not connection.recv(1_000):
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("the connection is still open")


def test_a_client_whose_head_comes_byte_by_byte_is_let_go(impatient):
    with opened(impatient) as connection:
        connection.sendall(b"GET /info HTTP/1.1\r\nx: ")
        until_closed(connection, b"x")


@contextmanager
def in_process(app, seconds, **settings):
    """A server of this protocol in a thread; its port."""
    port = live.free_port()
    config = uvicorn.Config(
        app, port=port, http=partial(Protocol, seconds), lifespan="off", log_config=None, **settings
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def test_a_client_that_has_been_answered_and_sends_anything_but_a_head_is_let_go():
    with in_process(nothing, 600, timeout_keep_alive=1) as port, socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert one.recv(1_000).startswith(b"HTTP/1.1 200 ")
        until_closed(one, b"\r\n")


def established(service, connection):
    """Whether the service has not closed its side."""
    ends = f":{service.port:04X}", f":{connection.getsockname()[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any((local[-5:], remote[-5:], state) == (*ends, "01") for _, local, remote, state, *_ in lines)


def test_a_client_that_does_not_read_its_answers_is_let_go(impatient):
    asked = request("unread", batch(100), "/predict_batch") * 1_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", impatient.port))
        connection.setblocking(False)
        deadline = time.monotonic() + 60
        while established(impatient, connection):
            assert time.monotonic() < deadline
            with suppress(BlockingIOError, ConnectionError):
                asked = asked[connection.send(asked[:1_000_000]) :]
            time.sleep(0.01)


# Many.


@pytest.fixture
def small(logistic, tmp_path):
    """A service that may open 256 files."""
    command = ["sh", "-c", 'ulimit -n 256 && exec "$0" -m serving', sys.executable]
    with live.serve(tmp_path, logistic.model.parent, command=command) as running:
        yield running
    assert running.stderr().count("\n") <= 1


MOST = 256 - 128


def test_more_silent_clients_than_files_do_not_keep_others_from_an_answer(small):
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(opened(small))
        assert small.ask("GET", "/livez").status == 200
        assert small.ask("POST", "/predict", GOOD).status == 200


def test_who_waits_between_two_requests_makes_room_after_those_who_never_asked(small):
    with ExitStack() as stack:
        used, silent = small.connect(), opened(small)
        stack.callback(used.close)
        stack.enter_context(silent)
        assert live.ask(used, "GET", "/livez").status == 200
        others = [small.connect() for _ in range(MOST - 1)]
        for other in others:
            stack.callback(other.close)
            assert live.ask(other, "GET", "/livez").status == 200
        assert silent.recv(1) == b""
        assert live.ask(used, "GET", "/livez").status == 200
        assert small.ask("GET", "/livez").status == 200
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            live.ask(used, "GET", "/livez")


def test_where_every_connection_has_a_request_a_further_one_is_refused(small):
    with ExitStack() as stack:
        begun = [stack.enter_context(opened(small)) for _ in range(MOST)]
        for i, connection in enumerate(begun):
            connection.sendall(request(f"begun-{i}", extra="expect: 100-continue\r\n")[: -len(ROW)])
            assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        with opened(small) as connection:
            found = http.client.HTTPResponse(connection)
            found.begin()
            assert (found.status, found.headers["retry-after"]) == (503, "1")
            assert set(json.loads(found.read())) == {"error", "request_id", "fields"}
        begun[0].sendall(ROW)
        assert begun[0].recv(1_000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("files", "most"), [(64, 1), (256, 128), (1_024, 896), (2**20, 1_000), (resource.RLIM_INFINITY, 1_000)]
)
def test_there_are_fewer_connections_than_files_that_may_be_open(monkeypatch, files, most):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    assert limits.connections() == most
