"""Reading bodies: what is kept of them at once, and when it is let go."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack

import pytest

from serving import body, limits
from serving.errors import RefusedError
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

LIMIT = 100_000
FULL = [b"x" * 40_000, b"x" * 40_000]


async def sent(parts, headers=(), limit=LIMIT, room=None, more=False):
    """What is read of a client that sends these parts, and then is silent where it has announced more."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = more

    async def receive():
        if messages:
            return messages.pop(0)
        assert more, "nothing comes after the end of the body"
        return await asyncio.Event().wait()

    return await body.read(receive, dict(headers), room or body.Room(limit, 10 * limit), 60.0)


def status(reading):
    with pytest.raises(RefusedError) as refused:
        asyncio.run(reading)
    return refused.value.status


def test_a_body_is_read_whole_up_to_its_limit():
    assert asyncio.run(sent([b"a", b"b", b"c"])) == b"abc"
    assert asyncio.run(sent([b"x" * LIMIT])) == b"x" * LIMIT


@pytest.mark.parametrize("parts", [[b"x" * (LIMIT + 1)], [b"x" * LIMIT, b"x"]], ids=["at once", "in parts"])
def test_a_body_that_turns_out_too_large_at_its_end_is_refused_at_once(parts):
    assert status(sent(parts)) == 413


def test_bodies_that_are_too_much_together_are_refused_until_one_of_them_is_done():
    async def clients():
        room = body.Room(LIMIT, 200_000)
        unfinished = [asyncio.create_task(sent(FULL, room=room, more=True)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as refused:
            await asyncio.create_task(sent(FULL, room=room))
        assert (refused.value.status, refused.value.headers) == (503, ((b"retry-after", b"1"),))
        assert refused.value.close
        assert await asyncio.create_task(sent([b"{}"], room=room)) == b"{}"  # as most are
        unfinished[0].cancel()
        await asyncio.wait(unfinished[:1])
        await asyncio.sleep(0)
        assert await asyncio.create_task(sent(FULL, room=room)) == b"".join(FULL)
        unfinished[1].cancel()
        await asyncio.wait(unfinished)
        await asyncio.sleep(0)
        assert room.taken == 0

    asyncio.run(clients())


@pytest.mark.server
@pytest.mark.xdist_group("serving-body")
def test_the_service_refuses_bodies_that_are_too_much_together_and_goes_on_when_they_are_gone(logistic, tmp_path):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    large = json.dumps(GOOD).encode().ljust(900_000)

    def until(status):
        deadline = time.monotonic() + 60
        while (answer := service.ask("POST", "/predict", large)).status != status:
            assert time.monotonic() < deadline, answer
        return answer

    limits_of = {**live.LIMITS, "timeout_seconds": 60.0}
    with live.serve(tmp_path, logistic.model.parent, limits_of) as service:
        with ExitStack() as stack:
            for _ in range(2 * limits.BODIES):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
                one.sendall(head + b" " * 950_000)
            answer = until(503)
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
            assert service.ask("POST", "/predict", GOOD).status == 200
        until(200)
