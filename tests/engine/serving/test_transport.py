"""Answers that are not read, with a clock that only the test moves."""

from __future__ import annotations

import pytest

from serving.transport import Joining

SECONDS = 7.0


class Clock:
    """A loop whose timers are called one by one."""

    def __init__(self):
        self.soon, self.later = [], []

    def call_soon(self, call):
        self.soon.append(call)

    def call_later(self, seconds, call, *given):
        assert seconds == SECONDS
        self.later.append((call, given))

    def step(self):
        while self.soon:
            self.soon.pop(0)()

    def wait(self):
        call, given = self.later.pop(0)
        call(*given)


class Client:
    """A transport whose other end reads when the test says so."""

    def __init__(self):
        self.unread, self.state = b"", "open"

    def write(self, data):
        self.unread += data

    def read(self, size):
        self.unread = self.unread[size:]

    def get_write_buffer_size(self):
        return len(self.unread)

    def close(self):
        self.state = "closing"

    def abort(self):
        self.state = "cut off"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def joining(client, clock):
    return Joining(client, clock, SECONDS)


def test_what_is_written_in_one_step_is_sent_as_one(joining, client, clock):
    joining.write(b"head")
    joining.write(b"body")
    assert client.unread == b""
    clock.step()
    assert client.unread == b"headbody"


def test_who_reads_something_in_each_interval_is_not_cut_off(joining, client, clock):
    joining.write(b"x" * 30)
    clock.step()
    joining.watch()
    client.read(10)
    clock.wait()
    client.read(10)
    joining.write(b"y" * 20)  # as much is left to read as before
    clock.step()
    clock.wait()
    client.read(30)
    clock.wait()
    assert (client.state, clock.later) == ("open", [])


def test_who_reads_nothing_in_an_interval_is_cut_off(joining, client, clock):
    joining.write(b"x" * 30)
    clock.step()
    joining.watch()
    joining.watch()
    client.read(10)
    clock.wait()
    clock.wait()
    assert (client.state, clock.later) == ("cut off", [])


def test_who_does_not_read_the_last_answer_is_cut_off_too(joining, client, clock):
    joining.write(b"last")
    joining.close()
    assert (client.unread, client.state) == (b"last", "closing")
    clock.wait()
    assert client.state == "cut off"


def test_where_all_has_been_read_nothing_is_watched(joining, client, clock):
    joining.watch()
    joining.close()
    assert (client.state, clock.later) == ("closing", [])
