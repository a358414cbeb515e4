"""The application in this process: what does not depend on a connection."""

import asyncio

import pytest

from serving import app as app_of
from serving.model import Model
from tests.serving.asgi import Service, tiny

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
