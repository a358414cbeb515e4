"""The ASGI application: responds to HTTP requests, without a framework."""

import asyncio
import math
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving import body, limits, openapi
from serving.errors import MAX_SHOWN, RequestError, invalid_rows, overloaded
from serving.log_rows import LogRows
from serving.metrics import Metrics
from serving.model import Model
from serving.prediction_log import PredictionLog
from serving.responses import Decision, Error, FieldError, Info, Value
from serving.rows import RowReader
from serving.settings import Settings

Scope = Mapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
PATHS = frozenset({"/predict", "/predict_batch", "/info", "/openapi.json", "/metrics"})
_PROBES = frozenset({"/livez", "/readyz"})
_Result = TypeVar("_Result")
_JSON = b"application/json"
_is_name = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch  # what other headers have does not get into the log
_INLINE_BYTES = 16_384  # a smaller body costs less than passing it to a thread
_LIVE = b"{}", _JSON
_encode = msgspec.json.Encoder().encode


class _Batch(NamedTuple):
    """The response to a batch, and what is counted and logged of it."""

    content: bytes
    rows: int
    positive: int
    time: float
    lines: bytes


class App:
    """The service of one model.

    Attributes:
        is_ready: False when a shutdown has begun; each response then closes its connection.
    """

    def __init__(self, model: Model, settings: Settings, log: PredictionLog | None, metrics: Metrics) -> None:
        self.is_ready = True
        self._model = model
        self._log = log
        self._metrics = metrics
        self._release = settings.release.release
        self._threshold = model.signature.threshold
        self._max_bytes = {"/predict": min(limits.ROW_BYTES, settings.max_body), "/predict_batch": settings.max_body}
        self._budget = body.Budget(limits.BODIES * settings.max_body)
        self._seconds = settings.release.timeout_seconds
        self._reader = RowReader(model.signature, settings.release.max_batch_rows)
        self._log_rows = LogRows(model.signature, self._release, settings.model_role, settings.prediction_log_salt)
        # One thread: ONNX Runtime and Python would only share the same core among several.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="large")
        info = _encode(Info(self._release, settings.model_version, model.md5, model.signature.document))
        document = _encode(openapi.document(model.signature, settings))
        self._pages: dict[str, Callable[[], tuple[bytes, bytes]]] = {
            "/info": lambda: (info, _JSON),
            "/openapi.json": lambda: (document, _JSON),
            "/metrics": lambda: (generate_latest(), CONTENT_TYPE_LATEST.encode()),
            "/livez": lambda: _LIVE,
            "/readyz": self._readiness,
        }

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        """Respond to an HTTP request."""
        started = time.perf_counter()
        path, headers = scope["path"], dict(scope["headers"])
        request_id = _name(headers.get(b"x-request-id")) or secrets.token_hex(16)
        key_name = _name(headers.get(b"x-key-name"))
        status, content_type, close = 200, _JSON, False
        extra_headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            if limit := self._max_bytes.get(path):
                _check_method(scope, headers, "POST")
                body.check_headers(headers)
                raw = await body.read(receive, headers, limit, self._budget, self._seconds)
                predict = self._predict if path == "/predict" else self._predict_batch
                content = await predict(raw, request_id, key_name, started)
            else:
                close = body.is_announced(headers)
                if path not in self._pages:
                    raise RequestError(404, "no such path; /openapi.json lists the paths")
                _check_method(scope, headers, "GET", "HEAD")
                content, content_type = self._pages[path]()
        except (RequestError, asyncio.CancelledError) as exception:
            error = exception if isinstance(exception, RequestError) else _shutting_down()
            status, extra_headers, close = error.status, error.headers, close or error.close
            content = _encode(Error(str(error), request_id, error.errors))
            del error  # its traceback has this frame: a circle, which would keep the body until the next collection
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
        if close or not self.is_ready:
            response_headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": response_headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
        if path not in _PROBES:
            endpoint = path if path in PATHS else "other"
            self._metrics.count_request(endpoint, status, key_name, time.perf_counter() - started)

    def close(self) -> None:
        """Write the rest of the prediction log."""
        if self._log is not None:
            self._log.close(limits.LOG_SECONDS)

    def _readiness(self) -> tuple[bytes, bytes]:
        if not self.is_ready:
            raise _shutting_down()
        return _LIVE

    async def _predict(self, raw: bytes, request_id: str, key_name: str | None, started: float) -> bytes:
        if len(raw) <= _INLINE_BYTES:
            row = self._reader.read_row(raw)
        else:
            row = await self._run_in_thread(self._reader.read_row, raw)
        score = self._model.score_row(row)
        if not math.isfinite(score):
            raise invalid_rows([FieldError(*self._not_finite())], 1)
        positive = self._threshold is not None and score >= self._threshold
        self._metrics.count_predictions(not positive, positive)
        self._metrics.count_scores((score,))
        if self._log is not None:
            now, latency_ms = time.time(), (time.perf_counter() - started) * 1e3
            lines = self._log_rows.encode(now, (request_id,), (row,), (score,), latency_ms, key_name)
            self._log.put(now, 1, lines)
        if self._threshold is None:
            return _encode(Value(score, self._release, request_id))
        return _encode(Decision(score, positive, self._threshold, self._release, request_id))

    async def _predict_batch(self, raw: bytes, request_id: str, key_name: str | None, started: float) -> bytes:
        if len(raw) <= _INLINE_BYTES:
            batch = self._score_batch(raw, request_id, key_name, started)
        else:
            batch = await self._run_in_thread(self._score_batch, raw, request_id, key_name, started)
        self._metrics.count_predictions(batch.rows - batch.positive, batch.positive)
        if self._log is not None and batch.rows:
            self._log.put(batch.time, batch.rows, batch.lines)
        return batch.content

    async def _run_in_thread(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Process a large body outside of the event loop, which responds to small ones meanwhile."""
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except TimeoutError:
            raise overloaded(f"the body was not processed within {self._seconds:g} s") from None

    def _score_batch(self, raw: bytes, request_id: str, key_name: str | None, started: float) -> _Batch:
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
        positive = 0 if threshold is None else sum(score >= threshold for score in scores)
        self._metrics.count_scores(scores)
        content = _encode(answers)
        now, latency_ms, lines = time.time(), (time.perf_counter() - started) * 1e3, b""
        if self._log is not None:
            lines = self._log_rows.encode(now, ids, zip(*columns, strict=True), scores, latency_ms, key_name)
        return _Batch(content, rows, positive, now, lines)

    def _not_finite(self) -> tuple[str, str]:
        """Return the field and the reason where the output is infinite or NaN, which valid inputs may give."""
        return "value" if self._threshold is None else "probability", "is not finite for these inputs"


def _shutting_down() -> RequestError:
    return overloaded("the service is shutting down", close=True)


def _name(header: bytes | None) -> str | None:
    return header.decode() if header and _is_name(header) else None


def _check_method(scope: Scope, headers: Mapping[bytes, bytes], *methods: str) -> None:
    if scope["method"] not in methods:
        allow = ", ".join(methods)
        close = body.is_announced(headers)
        raise RequestError(405, f"use {allow}", headers=[(b"allow", allow.encode())], close=close)
