"""The HTTP side: an ASGI application without a framework."""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import numpy as np

from serving import body, limits, measures, openapi
from serving.drain import Drain
from serving.errors import SHOWN, Fault, RefusedError, unfit
from serving.log import Entry, Log
from serving.measures import Measures
from serving.model import Model
from serving.rows import Columns, Rows
from serving.settings import Settings

Scope = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
_Found = TypeVar("_Found")
_JSON = b"application/json"
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_INLINE_BYTES = 16_384  # a smaller body costs less than a change of threads
_ENDS = RefusedError(503, "the service ends and waits no longer", headers=[(b"retry-after", b"1")], close=True)
_encode = msgspec.json.Encoder().encode


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer of a classification."""

    probability: float
    decision: bool
    threshold: float
    release: str
    request_id: str


class Value(msgspec.Struct, frozen=True, gc=False):
    """The answer of a regression."""

    value: float
    release: str
    request_id: str


class App:
    """The service of one model.

    Attributes:
        drain: whether it is about to end.
    """

    def __init__(self, model: Model, settings: Settings, log: Log | None, counts: Measures) -> None:
        self.drain = Drain(settings.drain_seconds)
        self._model = model
        self._log = log
        self._counts = counts
        self._release = settings.release.release
        self._threshold = model.signature.threshold
        self._bodies = body.Room(settings.max_body, limits.BODIES * settings.max_body)
        self._seconds = settings.release.timeout_seconds
        self._rows = Rows(model.signature, settings.release.max_batch_rows)
        # One at a time: the others would only share its time.
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large")
        info = {
            "release": self._release,
            "version": settings.version,
            "model": model.md5,
            "signature": model.signature.document,
        }
        document = openapi.document(model.signature, settings)
        self._pages: dict[str, Callable[[], tuple[bytes, bytes]]] = {
            "/info": _fixed(json.dumps(info).encode()),
            "/openapi.json": _fixed(json.dumps(document).encode()),
            "/metrics": lambda: (measures.text(), measures.CONTENT_TYPE),
        }

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        """Answer a request; other protocols than HTTP are closed."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
            return
        started = time.perf_counter()
        path, headers = scope["path"], dict(scope["headers"])
        given = headers.get(b"x-request-id")
        # A name that came along may stand in a log of ours only if it is harmless.
        name = given.decode() if given is not None and _ID.fullmatch(given) else secrets.token_hex(16)
        status, kind, close = 200, _JSON, False
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            if len(headers) < len(scope["headers"]):
                body.check_once(scope["headers"])
            if path == "/predict":
                _only(scope, headers, "POST")
                content = await self._predict(receive, headers, name, started)
            elif path == "/predict_batch":
                _only(scope, headers, "POST")
                content = await self._predict_batch(receive, headers, name, started)
            else:
                close = body.announced(headers)
                content, kind = self._page(scope, headers)
        except (RefusedError, asyncio.CancelledError) as error:
            refused = error if isinstance(error, RefusedError) else _ENDS
            status, extra, close = refused.status, refused.headers, close or refused.close
            content = _encode(_error(refused, name))
        except body.GoneError:
            return
        except Exception:  # a fault of ours: it is told to us, not to the client
            traceback.print_exc()
            status, content = 500, _encode({"error": "a fault of the service", "request_id": name, "fields": []})
        answer = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", name.encode()),
            *extra,
        ]
        if close or self.drain.on:
            answer.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
        endpoint = path if path in PATHS else "other"
        self._counts.answered(endpoint, status, time.perf_counter() - started)

    async def _predict(self, receive: body.Receive, headers: Mapping[bytes, bytes], name: str, started: float) -> bytes:
        body.check_headers(headers)
        raw = await body.read(receive, headers, self._bodies, self._seconds)
        if len(raw) <= _INLINE_BYTES:
            row = self._rows.one(raw)
        else:
            row = await self._beside(self._rows.one, raw)
        score = self._model.score_row(row)
        if not math.isfinite(score):
            raise unfit([self._no_answer(None)], 1)
        positive = self._threshold is not None and score >= self._threshold
        self._counts.predicted(not positive, positive)
        if self._log is not None:
            columns: Columns = [(value,) for value in row]
            latency_ms = (time.perf_counter() - started) * 1e3
            self._log.put(Entry(time.time(), (name,), columns, (score,), latency_ms, len(raw)))
        if self._threshold is None:
            return _encode(Value(score, self._release, name))
        return _encode(Decision(score, positive, self._threshold, self._release, name))

    async def _predict_batch(
        self, receive: body.Receive, headers: Mapping[bytes, bytes], name: str, started: float
    ) -> bytes:
        body.check_headers(headers)
        raw = await body.read(receive, headers, self._bodies, self._seconds)
        if len(raw) <= _INLINE_BYTES:
            content, columns, ids, scores = self._score_batch(raw, name)
        else:
            content, columns, ids, scores = await self._beside(self._score_batch, raw, name)
        positive = 0 if self._threshold is None else sum(score >= self._threshold for score in scores)
        self._counts.predicted(len(ids) - positive, positive)
        if self._log is not None and ids:
            latency_ms = (time.perf_counter() - started) * 1e3
            self._log.put(Entry(time.time(), ids, columns, scores, latency_ms, len(raw)))
        return content

    async def _beside(self, work: Callable[..., _Found], *given: Any) -> _Found:
        """Work on a large body, off the event loop: small ones go on being answered."""
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._large, work, *given)
        except TimeoutError:
            message = f"the body was not worked through within {self._seconds:g} s"
            raise RefusedError(503, message, headers=[(b"retry-after", b"1")]) from None

    def _score_batch(self, raw: bytes, name: str) -> tuple[bytes, Columns, list[str], list[float]]:
        rows, columns = self._rows.many(raw)
        if not rows:
            return b"[]", [], [], []
        found = self._model.score(columns)
        finite = np.isfinite(found)
        if not finite.all():
            at_fault = np.flatnonzero(~finite).tolist()
            raise unfit([self._no_answer(row) for row in at_fault[:SHOWN]], len(at_fault))
        scores: list[float] = found.tolist()
        ids = [f"{name}/{i}" for i in range(rows)]  # no client's own name has a slash
        release, threshold = self._release, self._threshold
        answers: list[Any]
        if threshold is None:
            answers = [Value(score, release, one) for score, one in zip(scores, ids, strict=True)]
        else:
            answers = [
                Decision(score, score >= threshold, threshold, release, one)
                for score, one in zip(scores, ids, strict=True)
            ]
        return _encode(answers), columns, ids, scores

    def _no_answer(self, row: int | None) -> Fault:
        """Values may fit one by one, and be too much for the graph together; JSON has no word for infinity."""
        answer = "value" if self._threshold is None else "probability"
        return Fault(answer, "has no finite value for these inputs", row)

    def _page(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
        page = self._pages.get(scope["path"])
        if page is None:
            raise RefusedError(404, "there is nothing here; /openapi.json says what there is")
        _only(scope, headers, "GET", "HEAD")
        return page()


PATHS = frozenset({"/predict", "/predict_batch", "/info", "/openapi.json", "/metrics"})


def _fixed(content: bytes) -> Callable[[], tuple[bytes, bytes]]:
    return lambda: (content, _JSON)


def _only(scope: Scope, headers: Mapping[bytes, bytes], *methods: str) -> None:
    if scope["method"] not in methods:
        allow = ", ".join(methods)
        close = body.announced(headers)
        raise RefusedError(405, f"use {allow}", headers=[(b"allow", allow.encode())], close=close)


def _error(refused: RefusedError, name: str) -> dict[str, Any]:
    fields = []
    for fault in refused.faults:
        described: dict[str, Any] = {"field": fault.field, "reason": fault.reason}
        fields.append(described if fault.row is None else {"row": fault.row, **described})
    return {"error": str(refused), "request_id": name, "fields": fields}
