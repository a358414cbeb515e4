"""The end of the service under load: what was accepted is answered and logged, and then nothing is accepted."""

import http.client
import json
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from serving import limits
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-drain")]
CLIENTS = 8
WIDE = {**live.LIMITS, "max_batch_rows": 10_000, "max_body_mb": 5}
BODY = json.dumps(GOOD).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)


@dataclass
class Client:
    """Sends without a pause, on one connection as long as the service keeps it, until it is refused."""

    service: live.Service
    name: str
    path: str = "/predict"
    answered: list[str] = field(default_factory=list)
    other: list[object] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def run(self):
        number = 0
        while True:
            connection, used = self.service.connect(), False
            try:
                connection.connect()
                while True:
                    number += 1
                    if not self.send(connection, f"{self.name}-{number}"):
                        break
                    used = True
            except ConnectionRefusedError:
                self.ends.append("refused")
                return
            except (OSError, http.client.HTTPException) as error:
                # A new connection may be reset while the service ceases to listen; one that had been answered on may
                # not.
                self.ends.append(f"{'used' if used else 'new'}: {type(error).__name__}")
            finally:
                connection.close()

    def send(self, connection, name):
        """Whether the service keeps the connection."""
        body = GOOD if self.path == "/predict" else [GOOD] * 100  # more than is scored on the event loop
        answer = live.ask(connection, "POST", self.path, body, x_request_id=name)
        if answer.status == 200:
            answers = answer.body if isinstance(answer.body, list) else [answer.body]
            self.answered += [one["request_id"] for one in answers]
        else:
            self.other.append(answer)
        return answer.headers.get("connection") != "close"


@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_under_load_every_response_is_logged_and_later_requests_are_refused(logistic, tmp_path, path):
    with live.serve(tmp_path, logistic.model.parent, DRAIN_SECONDS="0.3") as service:
        clients = [Client(service, f"client-{i}", path) for i in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        while not all(len(client.answered) > 100 for client in clients):
            assert any(thread.is_alive() for thread in threads), service.stderr()
        assert service.stop() == 0
        for thread in threads:
            thread.join()
    answered = [name for client in clients for name in client.answered]
    assert not [answer for client in clients for answer in client.other]
    assert not [end for client in clients for end in client.ends if end.startswith("used")]
    assert all(client.ends[-1] == "refused" for client in clients)
    assert set(service.logged_ids()) >= set(answered)
    assert len(set(service.logged_ids())) == len(service.logged_ids())
    assert "Traceback" not in service.stderr()


@pytest.fixture
def service(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, DRAIN_SECONDS="0.3") as running:
        yield running


def half_sent(service, name):
    """A connection on which a request has come by half."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    connection.sendall(HEAD + b"x-request-id: %s\r\n\r\n" % name.encode() + BODY[:20])
    return connection


def until_refused(service):
    while True:
        try:
            service.connect().connect()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT]])
def test_a_request_that_is_half_sent_when_the_service_ceases_to_listen_is_answered_and_logged(service, signals):
    service.ask("POST", "/predict", GOOD, x_request_id="first")
    with half_sent(service, "half") as connection:
        service.ask("GET", "/livez")  # by now the service has read what came before
        for number in signals:
            service.process.send_signal(number)
            time.sleep(0.05)  # two signals that wait together are one
        until_refused(service)
        connection.sendall(BODY[20:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["request_id"]) == (200, "half")
    assert service.process.wait(60) == 0
    assert sorted(service.logged_ids()) == ["first", "half"]


def test_a_connection_that_is_idle_does_not_delay_the_end(service):
    connection = service.connect()
    assert live.ask(connection, "POST", "/predict", GOOD).status == 200
    started = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started < limits.ANSWER_SECONDS
    assert len(service.log()) == 1


def test_while_it_ends_the_service_responds_is_not_ready_and_closes_connections(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, DRAIN_SECONDS="2") as service:
        kept = service.connect()
        assert live.ask(kept, "POST", "/predict", GOOD).status == 200
        service.process.send_signal(signal.SIGTERM)
        while service.ask("GET", "/readyz").status == 200:
            time.sleep(0.01)
        assert service.ask("GET", "/livez").status == 200
        answer = live.ask(kept, "POST", "/predict", GOOD)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert service.process.wait(60) == 0


def unread(service, batches):
    """A connection on which batches of 10,000 rows have been sent, and no answer is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", service.port))
    body = json.dumps([GOOD] * 10_000).encode()
    head = b"POST /predict_batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    def send():
        with suppress(OSError):
            for _ in range(batches):
                connection.sendall(head % len(body) + body)

    threading.Thread(target=send, daemon=True).start()
    while not service.counters().get(("mainline_request_seconds_count", "/predict_batch")):
        assert service.process.poll() is None
    return connection


def test_neither_an_unread_response_nor_half_a_request_keeps_it_from_ending_with_its_log_written(logistic, tmp_path):
    with (
        live.serve(tmp_path, logistic.model.parent, WIDE, DRAIN_SECONDS="0.1") as service,
        unread(service, 8),
        half_sent(service, "half") as half,
    ):
        service.ask("POST", "/predict", GOOD, x_request_id="last")
        started = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        answer = http.client.HTTPResponse(half)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert json.loads(answer.read())["error"] == "the service is shutting down"
        assert service.process.wait(60) == 0
        assert time.monotonic() - started < 0.1 + limits.END_SECONDS
    logged = service.logged_ids()
    assert "last" in logged and "half" not in logged
    assert len(logged) % 10_000 == 1
    assert "Traceback" not in service.stderr()


def test_an_impatient_interrupt_loses_only_what_was_not_answered(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, DRAIN_SECONDS="0.3") as service, half_sent(service, "half"):
        service.ask("POST", "/predict", GOOD, x_request_id="first")
        service.process.send_signal(signal.SIGINT)
        until_refused(service)  # the server has been told
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
    assert service.logged_ids() == ["first"]
    assert "Traceback" not in service.stderr()
