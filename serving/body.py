"""Reading the body of a request: its kind, its size, its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from serving.errors import RefusedError

Receive = Callable[[], Awaitable[Any]]
_UTF8 = (b"utf-8", b"utf8", b'"utf-8"')


class GoneError(Exception):
    """The client went away before its request was whole."""


def check_headers(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what is not JSON in UTF-8.

    Raises:
        RefusedError: 415.
    """
    kind = headers.get(b"content-type", b"")
    if kind == b"application/json":
        pass
    else:
        name, *parameters = (part.strip().lower() for part in kind.split(b";"))
        if name != b"application/json":
            raise RefusedError(415, "send JSON with the header content-type: application/json", close=True)
        for parameter in parameters:
            key, _, value = parameter.partition(b"=")
            if key.strip() == b"charset" and value.strip() not in _UTF8:
                raise RefusedError(415, "send JSON in UTF-8", close=True)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(415, "send the body without a content-encoding", close=True)


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float) -> bytes:
    """The whole body.

    Raises:
        RefusedError: 413 for more than `limit` bytes, 408 where it is not whole within `seconds`.
        GoneError: if the client went away.
    """
    declared = headers.get(b"content-length", b"")
    too_large = declared.isdigit() and int(declared[:20]) > limit
    if too_large and b"expect" in headers:
        raise _too_large(limit)  # the client waits before it sends
    try:
        async with asyncio.timeout(seconds):
            body = b"" if too_large else await _whole(receive, limit)
            if body is not None and not too_large:
                return body
            # A client that still sends would not read an answer before its end.
            await _rest(receive)
    except TimeoutError:
        if not too_large:
            raise RefusedError(408, f"the body did not come within {seconds:g} s", close=True) from None
    raise _too_large(limit)


async def _whole(receive: Receive, limit: int) -> bytes | None:
    """The body, or None as soon as it is too large."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise GoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= limit else None
    parts, size = [body], len(body)
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            return b"".join(parts) if size <= limit else None
    return None


async def _rest(receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        more = message.get("more_body", False)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body has more than {limit / 1e6:g} MB", close=True)
