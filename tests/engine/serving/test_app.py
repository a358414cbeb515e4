"""The application in this process: what does not depend on a connection."""

import asyncio
import threading

import pytest

from serving import app as app_of
from serving import strict_json
from serving.model import Model
from tests.engine.serving.asgi import Service, tiny

PATIENCE = 30.0  # seconds after which a test gives up

# An answer that is no number.


@pytest.mark.parametrize(("task", "answer"), [("regression", "value"), ("classification", "probability")])
@pytest.mark.parametrize("a", [0, -1, None])  # minus infinity, NaN, NaN
@pytest.mark.parametrize("inline", [0, 10**9])
def test_a_row_without_a_finite_answer_is_refused_by_its_number_and_neither_logged_nor_counted(
    tmp_path, monkeypatch, task, answer, a, inline
):
    monkeypatch.setattr(app_of, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path, task=task)))

    async def asked():
        return (
            await service.ask("/predict", {"a": a}),
            await service.ask("/predict_batch", [{"a": 1}, {"a": a}, {"a": a}]),
        )

    one, many = asyncio.run(asked())
    fault = {"field": answer, "reason": "has no finite value for these inputs"}
    assert (one.status, one.body["error"]) == (422, f"{answer} has no finite value for these inputs")
    assert one.body["fields"] == [fault]
    assert (many.status, many.body["error"]) == (
        422,
        f"row 1: {answer} has no finite value for these inputs (and 1 more)",
    )
    assert many.body["fields"] == [{"row": 1, **fault}, {"row": 2, **fault}]
    assert (service.log.all, service.counts.rows) == ([], 0)


# The threshold itself is positive.


def test_a_probability_at_the_threshold_is_positive(tmp_path):
    service = Service(Model(tiny(tmp_path, formula="Identity(a)", task="classification")))
    answers = [asyncio.run(service.ask("/predict", {"a": a})).body for a in (0.25, 0.5)]
    assert [answer["decision"] for answer in answers] == [False, True]
    assert service.counts.positive == 1


def test_a_probability_of_a_batch_at_the_threshold_is_positive(tmp_path):
    service = Service(Model(tiny(tmp_path, formula="Identity(a)", task="classification")))
    answers = asyncio.run(service.ask("/predict_batch", [{"a": 0.25}, {"a": 0.5}])).body
    assert [answer["decision"] for answer in answers] == [False, True]
    assert service.counts.positive == 1


# The loop, on which single rows are answered.


class Held(Model):
    """A model whose batches wait until they are let through."""

    def __init__(self, folder):
        super().__init__(folder)
        self.begun, self.let = threading.Event(), threading.Event()

    def score(self, columns):
        self.begun.set()
        assert self.let.wait(PATIENCE)
        return super().score(columns)


MANY = [{"a": 1}] * 2_000  # more bytes than are worked on beside the loop


def test_single_rows_are_answered_while_a_large_batch_is_scored(tmp_path):
    model = Held(tiny(tmp_path))
    service = Service(model, max_batch_rows=len(MANY))

    async def asked():
        many = asyncio.create_task(service.ask("/predict_batch", MANY))
        try:
            assert await asyncio.to_thread(model.begun.wait, PATIENCE)
            ones = [await service.ask("/predict", {"a": 1}) for _ in range(3)]
            assert not many.done()
        finally:
            model.let.set()
        return ones, await many

    ones, many = asyncio.run(asked())
    assert [one.status for one in ones] == [200] * 3
    assert (many.status, len(many.body)) == (200, len(MANY))


def test_a_batch_that_takes_too_long_is_told_so_and_neither_logged_nor_counted(tmp_path):
    model = Held(tiny(tmp_path))
    service = Service(model, max_batch_rows=len(MANY), timeout_seconds=0.01)

    async def asked():
        try:
            return await service.ask("/predict_batch", MANY)
        finally:
            model.let.set()

    answer = asyncio.run(asked())
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.body["error"] == "the body was not worked through within 0.01 s"
    assert (service.log.all, service.counts.rows) == ([], 0)


def test_a_large_row_is_read_beside_the_loop_and_a_small_one_on_it(tmp_path, monkeypatch):
    """An object of a million unknown names takes a second to refuse; a row of usual size costs less than the way."""
    service = Service(Model(tiny(tmp_path)))
    threads = []

    def loads(raw, strictly=strict_json.loads):
        threads.append(threading.current_thread())
        return strictly(raw)

    monkeypatch.setattr(strict_json, "loads", loads)

    async def asked():
        return [await service.ask("/predict", {"b" * size: 1}) for size in (100, 100_000)]

    assert [answer.status for answer in asyncio.run(asked())] == [422, 422]
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


def test_a_large_row_is_scored_logged_and_counted_as_any_other(tmp_path):
    service = Service(Model(tiny(tmp_path)))
    answer = asyncio.run(service.ask("/predict", b'{"a": 1' + b" " * 100_000 + b"}"))
    assert (answer.status, answer.body["value"]) == (200, 0.0)
    assert [entry.size for entry in service.log.all] == [100_008] and service.counts.rows == 1


# What is logged.


@pytest.mark.parametrize("inline", [0, 10**9])
def test_the_log_is_told_the_size_of_each_request(tmp_path, monkeypatch, inline):
    monkeypatch.setattr(app_of, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path)))

    async def asked():
        await service.ask("/predict", b'{"a": 1}')
        await service.ask("/predict_batch", b'[{"a": 1}, {"a": 2}]')

    asyncio.run(asked())
    assert [(len(entry.ids), entry.size) for entry in service.log.all] == [(1, 8), (2, 20)]


@pytest.mark.parametrize("inline", [0, 10**9])
def test_no_name_of_a_client_is_that_of_a_row_of_a_batch(tmp_path, monkeypatch, inline):
    monkeypatch.setattr(app_of, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path)))

    async def asked():
        many = await service.ask("/predict_batch", [{"a": 1}] * 2, x_request_id="a")
        for row in many.body:
            await service.ask("/predict", {"a": 1}, x_request_id=row["request_id"])

    asyncio.run(asked())
    (first, second), *others = (entry.ids for entry in service.log.all)
    assert (first, second) == ("a/0", "a/1")
    assert len({first, second, *(name for (name,) in others)}) == 4
