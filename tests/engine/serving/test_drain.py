"""The end of the service under load: what was accepted is answered and logged, and then nothing is accepted."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import uvicorn

from serving import drain, limits
from serving import server as server_of
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
                # A connection that still waited in the kernel's queue when the service ceased to listen is reset;
                # one that had been answered on may not be.
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
def test_under_load_every_accepted_request_is_answered_and_logged_and_later_ones_are_refused(logistic, tmp_path, path):
    with live.serve(tmp_path, logistic.model.parent) as service:
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
    assert sorted(service.log()["request_id"].to_pylist()) == sorted(answered)
    assert "Traceback" not in service.stderr()


def test_no_file_is_left_behind_in_the_folder_of_temporary_ones(logistic, tmp_path):
    (tmp_path / "temporary").mkdir()
    with live.serve(tmp_path, logistic.model.parent, TMPDIR=str(tmp_path / "temporary"), BENTOML_HOME="") as service:
        assert any((tmp_path / "temporary").iterdir())
        assert service.stop() == 0
    assert not any((tmp_path / "temporary").iterdir())


@pytest.fixture
def service(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent) as running:
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


def test_a_request_that_is_half_sent_when_the_service_ceases_to_listen_is_answered_and_logged(service):
    with half_sent(service, "half") as connection:
        service.ask("GET", "/livez")  # by now the service has read what came before
        service.process.send_signal(signal.SIGTERM)
        until_refused(service)
        connection.sendall(BODY[20:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["request_id"]) == (200, "half")
    assert service.process.wait(60) == 0
    assert service.log()["request_id"].to_pylist() == ["half"]


def test_a_request_on_a_connection_that_was_accepted_before_the_service_ceased_to_listen_is_answered():
    async def end():
        late, answered = asyncio.Event(), asyncio.Event()

        class Held(server_of.Server):
            async def late(self):
                late.set()
                await answered.wait()  # instead of a time

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

        port = live.free_port()
        server = Held(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        server.should_exit = True
        await late.wait()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"\r\n" + BODY)
        line = await reader.readline()
        answered.set()
        await running
        writer.close()
        return line

    assert asyncio.run(end()) == b"HTTP/1.1 200 OK\r\n"


def test_a_connection_that_is_idle_does_not_hold_the_end_up(service):
    connection = service.connect()
    assert live.ask(connection, "POST", "/predict", GOOD).status == 200
    assert service.stop() == 0
    assert service.log().num_rows == 1


def test_while_it_ends_the_service_answers_is_not_ready_and_asks_to_leave_the_connection(service):
    kept, probe = service.connect(), service.connect()
    assert live.ask(kept, "POST", "/predict", GOOD).status == 200
    assert live.ask(probe, "GET", "/readyz").status == 200
    service.process.send_signal(signal.SIGTERM)
    answer = live.ask(kept, "POST", "/predict", GOOD)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert live.ask(probe, "GET", "/readyz").status == 503
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


def test_a_client_that_does_not_read_its_answers_does_not_keep_it_from_ending_with_its_log_written(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, WIDE, DRAIN_SECONDS="0.1") as service, unread(service, 8):
        service.ask("POST", "/predict", GOOD, x_request_id="last")
        assert service.stop() == 0
    logged = service.log()["request_id"].to_pylist()
    assert "last" in logged
    assert len(logged) % 10_000 == 1
    assert "Traceback" not in service.stderr()


def test_a_request_that_is_not_whole_in_time_is_refused_at_the_end(service):
    with half_sent(service, "half") as connection:
        service.ask("GET", "/livez")
        service.process.send_signal(signal.SIGTERM)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert json.loads(answer.read())["error"] == "the service is shutting down"
    assert service.process.wait(60) == 0
    assert "Traceback" not in service.stderr()


def test_the_parts_of_the_end_fit_into_its_time():
    parts = limits.LATE_SECONDS, limits.ANSWER_SECONDS, 2 * limits.WORD_SECONDS, limits.LOG_SECONDS
    assert sum(parts) < limits.END_SECONDS
    assert min(parts) > 0


def test_the_last_requests_have_half_a_second_as_long_as_anybody_is_connected(monkeypatch):
    """With a clock of its own, which only `sleep` moves."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if sum(slept) > leaves:
            state.connections.clear()

    async def waits():
        slept.clear()
        state.connections.add("somebody")
        await server.late()
        return sum(slept)

    server = server_of.Server(uvicorn.Config(None))
    state = server.server_state
    monkeypatch.setattr(asyncio, "sleep", sleep)
    leaves = 0.3
    assert 0.3 < asyncio.run(waits()) < 0.35
    leaves = 60
    assert asyncio.run(waits()) == pytest.approx(0.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_loses_nothing_either(service, number):
    service.ask("POST", "/predict", GOOD, x_request_id="first")
    with half_sent(service, "second") as connection:
        service.ask("GET", "/livez")
        service.process.send_signal(number)
        assert service.ask("GET", "/readyz").status == 503  # two signals that wait together are one
        service.process.send_signal(number)
        until_refused(service)
        connection.sendall(BODY[20:])
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")
    assert service.process.wait(60) == 0
    assert sorted(service.log()["request_id"].to_pylist()) == ["first", "second"]


def test_an_impatient_interrupt_loses_only_what_was_not_answered(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, WIDE) as service, unread(service, 8), half_sent(service, "half"):
        service.ask("POST", "/predict", GOOD, x_request_id="first")
        service.process.send_signal(signal.SIGINT)
        until_refused(service)  # the server has been told
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
    logged = service.log()["request_id"].to_pylist()
    assert "first" in logged
    assert "half" not in logged
    assert "Traceback" not in service.stderr()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_is_told_once_of_one_signal_and_of_two(number, times):
    told: list[int] = []

    async def signals():
        waiting = drain.Drain(0.05)
        waiting.install(asyncio.get_running_loop())
        for _ in range(times):
            signal.raise_signal(number)
        assert waiting.on
        while not told:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)

    taken = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(one, lambda number, frame: told.append(number)) for one in taken]
    try:
        asyncio.run(signals())
    finally:
        for one, handler in zip(taken, before, strict=True):
            signal.signal(one, handler)
    assert told == [number]


def test_an_interrupt_from_the_keyboard_ends_it_as_well(service):
    service.ask("POST", "/predict", GOOD)
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(60) == 0
    assert service.log().num_rows == 1
