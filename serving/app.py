"""The ASGI application: responds to HTTP requests, without a framework."""

from __future__ import annotations

import asyncio
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
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving import body, limits, openapi
from serving.drain import Drain
from serving.errors import MAX_SHOWN, RequestError, invalid_rows, overloaded
from serving.log_columns import Entry
from serving.metrics import Metrics
from serving.model import Model
from serving.prediction_log import PredictionLog
from serving.responses import Decision, Error, FieldError, Info, Value
from serving.rows import Columns, RowReader
from serving.settings import Settings

Scope = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
PATHS = frozenset({"/predict", "/predict_batch", "/info", "/openapi.json", "/metrics"})
_Result = TypeVar("_Result")
_JSON = b"application/json"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_INLINE_BYTES = 16_384  # a smaller body costs less than passing it to a thread
_SHUTDOWN = overloaded("the service is shutting down", close=True)
_encode = msgspec.json.Encoder().encode


class App:
    """The service of one model.

    Attributes:
        drain: whether a shutdown has begun.
        log: the prediction log, or None if it is off.
    """

    def __init__(self, model: Model, settings: Settings, log: PredictionLog | None, metrics: Metrics) -> None:
        self.drain = Drain(settings.drain_seconds)
        self._model = model
        self.log = log
        self._metrics = metrics
        self._release = settings.release.release
        self._threshold = model.signature.threshold
        self._budget = body.Budget(settings.max_body, limits.BODIES * settings.max_body)
        self._seconds = settings.release.timeout_seconds
        self._reader = RowReader(model.signature, settings.release.max_batch_rows)
        # One thread: ONNX Runtime and Python would only share the same core among several.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="large")
        info = _encode(Info(self._release, settings.model_version, model.md5, model.signature.document))
        document = _encode(openapi.document(model.signature, settings))
        self._pages: dict[str, Callable[[], tuple[bytes, bytes]]] = {
            "/info": lambda: (info, _JSON),
            "/openapi.json": lambda: (document, _JSON),
            "/metrics": lambda: (generate_latest(), CONTENT_TYPE_LATEST.encode()),
        }

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        """Respond to an HTTP request."""
        started = time.perf_counter()
        path, headers = scope["path"], dict(scope["headers"])
        sent_id = headers.get(b"x-request-id")
        # The id goes into the log: one of another form is replaced.
        request_id = sent_id.decode() if sent_id and _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(16)
        status, content_type, close = 200, _JSON, False
        extra_headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            if path == "/predict" or path == "/predict_batch":
                _check_method(scope, headers, "POST")
                body.check_headers(headers)
                raw = await body.read(receive, headers, self._budget, self._seconds)
                predict = self._predict if path == "/predict" else self._predict_batch
                content = await predict(raw, request_id, started)
            else:
                close = body.is_announced(headers)
                if path not in self._pages:
                    raise RequestError(404, "no such path; /openapi.json lists the paths")
                _check_method(scope, headers, "GET", "HEAD")
                content, content_type = self._pages[path]()
        except (RequestError, asyncio.CancelledError) as exception:
            error = exception if isinstance(exception, RequestError) else _SHUTDOWN
            status, extra_headers, close = error.status, error.headers, close or error.close
            content = _encode(Error(str(error), request_id, error.errors))
        except body.DisconnectError:
            return
        except Exception:
            traceback.print_exc()
            status, content = 500, _encode(Error("internal error of the service", request_id, ()))
        response_headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id.encode()),
            *extra_headers,
        ]
        if close or self.drain.on:
            response_headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": response_headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
        self._metrics.count_request(path if path in PATHS else "other", status, time.perf_counter() - started)

    async def _predict(self, raw: bytes, request_id: str, started: float) -> bytes:
        if len(raw) <= _INLINE_BYTES:
            row = self._reader.read_row(raw)
        else:
            row = await self._run_in_thread(self._reader.read_row, raw)
        score = self._model.score_row(row)
        if not math.isfinite(score):
            raise invalid_rows([FieldError(*self._not_finite())], 1)
        positive = self._threshold is not None and score >= self._threshold
        self._metrics.count_predictions(not positive, positive)
        if self.log is not None:
            columns: Columns = [(value,) for value in row]
            latency_ms = (time.perf_counter() - started) * 1e3
            self.log.put(Entry(time.time(), (request_id,), columns, (score,), latency_ms, len(raw)))
        if self._threshold is None:
            return _encode(Value(score, self._release, request_id))
        return _encode(Decision(score, positive, self._threshold, self._release, request_id))

    async def _predict_batch(self, raw: bytes, request_id: str, started: float) -> bytes:
        if len(raw) <= _INLINE_BYTES:
            content, entry = self._score_batch(raw, request_id, started)
        else:
            content, entry = await self._run_in_thread(self._score_batch, raw, request_id, started)
        positive = 0 if self._threshold is None else sum(score >= self._threshold for score in entry.scores)
        self._metrics.count_predictions(len(entry.ids) - positive, positive)
        if self.log is not None and entry.ids:
            self.log.put(entry)
        return content

    async def _run_in_thread(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Process a large body outside of the event loop, which responds to small ones meanwhile."""
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except TimeoutError:
            raise overloaded(f"the body was not processed within {self._seconds:g} s") from None

    def _score_batch(self, raw: bytes, request_id: str, started: float) -> tuple[bytes, Entry]:
        rows, columns = self._reader.read_batch(raw)
        outputs = self._model.score(columns) if rows else np.empty(0)
        if not_finite := np.flatnonzero(~np.isfinite(outputs)).tolist():
            errors = [FieldError(*self._not_finite(), row) for row in not_finite[:MAX_SHOWN]]
            raise invalid_rows(errors, len(not_finite))
        scores: list[float] = outputs.tolist()
        ids = [f"{request_id}/{i}" for i in range(rows)]  # unique, since no client's id has a slash
        release, threshold = self._release, self._threshold
        answers: list[Any]
        if threshold is None:
            answers = [Value(score, release, row_id) for score, row_id in zip(scores, ids, strict=True)]
        else:
            answers = [
                Decision(score, score >= threshold, threshold, release, row_id)
                for score, row_id in zip(scores, ids, strict=True)
            ]
        content = _encode(answers)
        latency_ms = (time.perf_counter() - started) * 1e3
        return content, Entry(time.time(), ids, columns, scores, latency_ms, len(raw))

    def _not_finite(self) -> tuple[str, str]:
        """Return the field and the reason where the output is infinite or NaN, which valid inputs may give."""
        return "value" if self._threshold is None else "probability", "is not finite for these inputs"


def _check_method(scope: Scope, headers: Mapping[bytes, bytes], *methods: str) -> None:
    if scope["method"] not in methods:
        allow = ", ".join(methods)
        close = body.is_announced(headers)
        raise RequestError(405, f"use {allow}", headers=[(b"allow", allow.encode())], close=close)
