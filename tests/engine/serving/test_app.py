"""The application without a server."""

import asyncio
import threading

import pytest

from serving import app as serving_app
from serving.model import Model
from serving.rows import RowReader
from tests.engine.serving.asgi import Service, tiny

PATIENCE = 30.0  # seconds after which a test gives up


@pytest.mark.parametrize(("task", "answer"), [("regression", "value"), ("classification", "probability")])
@pytest.mark.parametrize("a", [0, -1, None])  # minus infinity, NaN, NaN
@pytest.mark.parametrize("inline", [0, 10**9])
def test_a_row_without_a_finite_prediction_gets_422_and_is_neither_logged_nor_counted(
    tmp_path, monkeypatch, task, answer, a, inline
):
    monkeypatch.setattr(serving_app, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path, task=task)))

    async def send():
        return (
            await service.ask("/predict", {"a": a}),
            await service.ask("/predict_batch", [{"a": 1}, {"a": a}, {"a": a}]),
        )

    one, many = asyncio.run(send())
    error = {"field": answer, "reason": "is not finite for these inputs"}
    assert (one.status, one.body["error"]) == (422, f"{answer} is not finite for these inputs")
    assert one.body["fields"] == [error]
    assert (many.status, many.body["error"]) == (
        422,
        f"row 1: {answer} is not finite for these inputs (and 1 more)",
    )
    assert many.body["fields"] == [{"row": 1, **error}, {"row": 2, **error}]
    assert (service.log.all, service.metrics.rows) == ([], 0)


def test_a_probability_at_the_threshold_is_positive(tmp_path):
    service = Service(Model(tiny(tmp_path, formula="Identity(a)", task="classification")))
    answers = [asyncio.run(service.ask("/predict", {"a": a})).body for a in (0.25, 0.5)]
    assert [answer["decision"] for answer in answers] == [False, True]
    assert service.metrics.positive == 1


def test_a_probability_of_a_batch_at_the_threshold_is_positive(tmp_path):
    service = Service(Model(tiny(tmp_path, formula="Identity(a)", task="classification")))
    answers = asyncio.run(service.ask("/predict_batch", [{"a": 0.25}, {"a": 0.5}])).body
    assert [answer["decision"] for answer in answers] == [False, True]
    assert service.metrics.positive == 1


class BlockedModel(Model):
    """A model that scores a batch only when `released` is set."""

    def __init__(self, folder):
        super().__init__(folder)
        self.begun, self.released = threading.Event(), threading.Event()

    def score(self, columns):
        self.begun.set()
        assert self.released.wait(PATIENCE)
        return super().score(columns)


LARGE_BATCH = [{"a": 1}] * 2_000  # is scored in a thread


def test_single_rows_get_responses_while_a_large_batch_is_scored(tmp_path):
    model = BlockedModel(tiny(tmp_path))
    service = Service(model, max_batch_rows=len(LARGE_BATCH))

    async def send():
        many = asyncio.create_task(service.ask("/predict_batch", LARGE_BATCH))
        try:
            assert await asyncio.to_thread(model.begun.wait, PATIENCE)
            ones = [await service.ask("/predict", {"a": 1}) for _ in range(3)]
            assert not many.done()
        finally:
            model.released.set()
        return ones, await many

    ones, many = asyncio.run(send())
    assert [one.status for one in ones] == [200] * 3
    assert (many.status, len(many.body)) == (200, len(LARGE_BATCH))


def test_a_batch_that_takes_too_long_gets_503_and_is_neither_logged_nor_counted(tmp_path):
    model = BlockedModel(tiny(tmp_path))
    service = Service(model, max_batch_rows=len(LARGE_BATCH), timeout_seconds=0.01)

    async def send():
        try:
            return await service.ask("/predict_batch", LARGE_BATCH)
        finally:
            model.released.set()

    answer = asyncio.run(send())
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.body["error"] == "the body was not processed within 0.01 s"
    assert (service.log.all, service.metrics.rows) == ([], 0)


def test_a_large_row_is_read_in_a_thread_and_a_small_one_in_the_event_loop(tmp_path, monkeypatch):
    service = Service(Model(tiny(tmp_path)))
    threads = []

    def read_row(reader, raw, read=RowReader.read_row):
        threads.append(threading.current_thread())
        return read(reader, raw)

    monkeypatch.setattr(RowReader, "read_row", read_row)

    async def send():
        return [await service.ask("/predict", b'{"a": 1}'.ljust(size)) for size in (100, 50_000)]

    assert [answer.status for answer in asyncio.run(send())] == [200, 200]
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    assert (len(service.log.all), service.metrics.rows) == (2, 2)


@pytest.mark.parametrize(("size", "status"), [(65_536, 200), (65_537, 413)])
def test_a_row_has_at_most_64_kb_and_a_batch_more(tmp_path, size, status):
    service = Service(Model(tiny(tmp_path)))
    assert asyncio.run(service.ask("/predict", b'{"a": 1}'.ljust(size))).status == status
    assert asyncio.run(service.ask("/predict_batch", b'[{"a": 1}]'.ljust(size))).status == 200


@pytest.mark.parametrize("inline", [0, 10**9])
@pytest.mark.parametrize(("sent", "logged"), [("team-a", "team-a"), ("a b", None), ("x" * 65, None), (None, None)])
def test_the_name_of_the_key_is_logged(tmp_path, monkeypatch, inline, sent, logged):
    monkeypatch.setattr(serving_app, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path)))
    headers = {} if sent is None else {"x_key_name": sent}

    async def send():
        await service.ask("/predict", {"a": 1}, **headers)
        await service.ask("/predict_batch", [{"a": 1}], **headers)

    asyncio.run(send())
    assert [row["key_name"] for rows in service.log.all for row in rows] == [logged, logged]


@pytest.mark.parametrize("inline", [0, 10**9])
def test_a_clients_request_id_cannot_equal_that_of_a_batch_row(tmp_path, monkeypatch, inline):
    monkeypatch.setattr(serving_app, "_INLINE_BYTES", inline)
    service = Service(Model(tiny(tmp_path)))

    async def send():
        many = await service.ask("/predict_batch", [{"a": 1}] * 2, x_request_id="a")
        for row in many.body:
            await service.ask("/predict", {"a": 1}, x_request_id=row["request_id"])

    asyncio.run(send())
    (first, second), *others = ([row["request_id"] for row in rows] for rows in service.log.all)
    assert (first, second) == ("a/0", "a/1")
    assert len({first, second, *(name for (name,) in others)}) == 4
