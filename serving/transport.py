"""The server's transport, which sends the head and the body of an answer together, and does not wait for ever.

uvicorn writes one after the other, and asyncio hands each to the system at once: two calls, two packets, and a client
that wakes twice. It is the largest part of what a prediction costs beyond its score.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Joining:
    """A transport that sends what is written in one step of the loop as one; all else is the transport's own."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """`seconds` are those in which a client that is watched must read something."""
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._parts: list[bytes] = []
        self._written = 0
        self._watched = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep the data until the step ends."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        """Send what waits, and close."""
        self._send()
        self._transport.close()
        self.watch()  # it is open until all has been read

    def watch(self) -> None:
        """Cut the client off once it has read nothing for too long, until it has read everything."""
        if not self._watched and self._transport.get_write_buffer_size():
            self._watched = True
            self._loop.call_later(self._seconds, self._look, self._read())

    def _look(self, before: int) -> None:
        self._watched = False
        if self._read() > before:
            self.watch()
        else:
            self._transport.abort()

    def _read(self) -> int:
        read: int = self._written - self._transport.get_write_buffer_size()
        return read

    def _send(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._written += len(data)
            self._transport.write(data)
