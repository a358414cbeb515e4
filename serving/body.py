"""Reads the body of a request, within limits of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from serving.errors import RequestError, overloaded
from serving.limits import ROW_BYTES

Receive = Callable[[], Awaitable[Any]]


class DisconnectError(Exception):
    """The client disconnected before its request was complete."""


def check_headers(headers: Mapping[bytes, bytes]) -> None:
    """Check that the headers announce plain JSON.

    Raises:
        RequestError: 415.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise RequestError(415, "send JSON with the header content-type: application/json", close=True)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestError(415, "send the body without a content-encoding", close=True)


def is_announced(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a body may follow. Unless it is read, the connection must be closed."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


class Budget:
    """The bytes that all bodies together may have which are being read or scored; small ones are not counted.

    Attributes:
        taken: bytes in use.
    """

    def __init__(self, total: int) -> None:
        self.taken = 0
        self._total = total

    def take(self, size: int) -> bool:
        """Reserve bytes until the request's task ends; return whether there were enough."""
        task = asyncio.current_task()
        assert task is not None
        if self.taken + size > self._total:
            return False
        self.taken += size
        task.add_done_callback(lambda _: self._release(size))
        return True

    def _release(self, size: int) -> None:
        self.taken -= size


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int, budget: Budget, seconds: float) -> bytes:
    """Read the whole body, of at most `limit` bytes.

    Raises:
        RequestError: 413 if it is too large, 503 if all bodies together are, 408 if it is not complete in `seconds`.
        DisconnectError: if the client disconnected.
    """
    error = _too_large(limit) if int(headers.get(b"content-length", b"0")) > limit else None
    if error is not None and b"expect" in headers:
        raise error  # the client waits for an answer before it sends the body
    parts: list[bytes] = []
    size = counted = 0
    more = True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectError
                part, more = message.get("body", b""), message.get("more_body", False)
                if error is None:
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        error = _too_large(limit)
                    elif size > ROW_BYTES:
                        if budget.take(size - counted):
                            counted = size
                        else:
                            error = overloaded("too many request bodies at once; send it again", close=True)
                if error is not None:  # read on: most clients read no response before they have sent everything
                    parts.clear()
    except TimeoutError:
        if error is None:
            raise RequestError(408, f"the body did not arrive within {seconds:g} s", close=True) from None
    if error is not None:
        raise error
    return b"".join(parts)


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the body has more than {limit:,} bytes", close=True)
