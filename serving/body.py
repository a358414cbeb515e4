"""Reading the body of a request: its kind, its size, its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from serving.errors import RefusedError

Receive = Callable[[], Awaitable[Any]]
_ONCE = (b"content-type", b"content-encoding", b"content-length")
_SMALL = 16_384  # is scored before anything else is read
_UTF8 = (b"utf-8", b"utf8", b'"utf-8"')


class GoneError(Exception):
    """The client went away before its request was whole."""


def check_headers(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what is not JSON in UTF-8.

    Raises:
        RefusedError: 415.
    """
    kind = headers.get(b"content-type", b"")
    if kind != b"application/json":
        name, *parameters = (part.strip().lower() for part in kind.split(b";"))
        if name != b"application/json":
            raise RefusedError(415, "send JSON with the header content-type: application/json", close=True)
        for parameter in parameters:
            key, _, value = parameter.partition(b"=")
            if key.strip() == b"charset" and value.strip() not in _UTF8:
                raise RefusedError(415, "send JSON in UTF-8", close=True)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RefusedError(415, "send the body without a content-encoding", close=True)


def announced(headers: Mapping[bytes, bytes]) -> bool:
    """Whether there may be a body, which would be taken for the next request, or the other way round, if not read."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def check_once(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse headers that say two things of the body; elsewhere the last of a name counts.

    Raises:
        RefusedError: 400.
    """
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise RefusedError(400, f"the header {name.decode()} comes more than once", close=True)


class Room:
    """How much there may be of one body, and of all bodies together that wait or are worked on.

    Attributes:
        taken: bytes that are there now. Small bodies that come at once are not counted.
    """

    def __init__(self, one: int, all_together: int) -> None:
        self.one = one
        self.taken = 0
        self._all = all_together

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes until the request's task ends."""
        task = asyncio.current_task()
        assert task is not None
        if self.taken + size > self._all:
            return False
        self.taken += size
        task.add_done_callback(lambda _: self._give(size))
        return True

    def _give(self, size: int) -> None:
        self.taken -= size


async def read(receive: Receive, headers: Mapping[bytes, bytes], room: Room, seconds: float) -> bytes:
    """The whole body.

    Raises:
        RefusedError: 413 for more bytes than there may be, 503 where there is no room for them now, 408 where they are
            not whole within `seconds`.
        GoneError: if the client went away.
    """
    declared = headers.get(b"content-length", b"")
    refusal = _too_large(room.one) if declared.isdigit() and int(declared[:20]) > room.one else None
    if refusal is not None and b"expect" in headers:
        raise refusal  # the client waits before it sends
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                part, more = message.get("body", b""), message.get("more_body", False)
                if refusal is None:
                    size += len(part)
                    parts.append(part)
                    if size > room.one:
                        refusal = _too_large(room.one)
                    elif (more or size > _SMALL) and not room.take(len(part)):
                        refusal = _no_room()
                if refusal is not None:  # it still sends, and would not read an answer before its end
                    parts.clear()
    except TimeoutError:
        if refusal is None:
            raise RefusedError(408, f"the body did not come within {seconds:g} s", close=True) from None
    if refusal is not None:
        raise refusal
    return b"".join(parts)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body has more than {limit / 1e6:g} MB", close=True)


def _no_room() -> RefusedError:
    message = "there are more bodies than the service has room for; send it again"
    return RefusedError(503, message, headers=[(b"retry-after", b"1")], close=True)
