"""Reading bodies within limits of size and memory."""

import asyncio
import json
import socket
import time
from contextlib import ExitStack

import pytest

from serving import body, limits
from serving.errors import RequestError
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

LIMIT = 100_000
FULL = [b"x" * 40_000, b"x" * 40_000]


async def read(parts, headers=(), limit=LIMIT, budget=None, more=False):
    """Read the body of a client that sends these parts, and nothing after them even if `more` announces it."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = more

    async def receive():
        if messages:
            return messages.pop(0)
        assert more, "nothing comes after the end of the body"
        return await asyncio.Event().wait()

    return await body.read(receive, dict(headers), limit, budget or body.Budget(10 * limit), 60.0)


def error_status(reading):
    with pytest.raises(RequestError) as caught:
        asyncio.run(reading)
    return caught.value.status


def test_a_body_is_read_whole_up_to_its_limit():
    assert asyncio.run(read([b"a", b"b", b"c"])) == b"abc"
    assert asyncio.run(read([b"x" * LIMIT])) == b"x" * LIMIT


@pytest.mark.parametrize("parts", [[b"x" * (LIMIT + 1)], [b"x" * LIMIT, b"x"]], ids=["at once", "in parts"])
def test_a_body_without_a_length_that_is_too_large_is_refused(parts):
    assert error_status(read(parts)) == 413


def test_a_body_beyond_the_budget_is_refused_until_another_request_ends():
    async def clients():
        budget = body.Budget(200_000)
        unfinished = [asyncio.create_task(read(FULL, budget=budget, more=True)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as caught:
            await asyncio.create_task(read(FULL, budget=budget))
        assert (caught.value.status, caught.value.headers) == (503, ((b"retry-after", b"1"),))
        assert caught.value.close
        assert await asyncio.create_task(read([b"{}"], budget=budget)) == b"{}"  # small bodies are not counted
        unfinished[0].cancel()
        await asyncio.wait(unfinished[:1])
        await asyncio.sleep(0)
        assert await asyncio.create_task(read(FULL, budget=budget)) == b"".join(FULL)
        unfinished[1].cancel()
        await asyncio.wait(unfinished)
        await asyncio.sleep(0)
        assert budget.taken == 0

    asyncio.run(clients())


@pytest.mark.server
@pytest.mark.xdist_group("serving-body")
def test_the_service_refuses_bodies_beyond_its_budget_until_their_clients_disconnect(logistic, tmp_path):
    head = (
        b"POST /predict_batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    )
    large = json.dumps([GOOD]).encode().ljust(900_000)

    def until(status):
        deadline = time.monotonic() + 60
        while (answer := service.ask("POST", "/predict_batch", large)).status != status:
            assert time.monotonic() < deadline, answer
        return answer

    limits_of = {**live.LIMITS, "timeout_seconds": 60.0}
    with live.serve(tmp_path, logistic.model.parent, limits_of) as service:
        with ExitStack() as stack:
            for _ in range(2 * limits.BODIES):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
                connection.sendall(head + b" " * 950_000)
            answer = until(503)
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
            assert service.ask("POST", "/predict", GOOD).status == 200
        until(200)
