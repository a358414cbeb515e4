"""A transport that sends the head and the body of a response together, and drops clients that stop reading.

uvicorn writes one after the other, and asyncio sends each at once: two system calls, two packets, and a client that
wakes twice. Besides scoring, this is the largest cost of a prediction.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Joining:
    """Wraps a transport, and sends what is written in one step of the event loop at once."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """A client that is watched must read something within `seconds`."""
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
        """Send the data, and close."""
        self._send()
        self._transport.close()
        self.watch()  # it is open until all has been read

    def watch(self) -> None:
        """Abort the connection if the client reads nothing for too long before it has read everything."""
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
