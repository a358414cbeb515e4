"""The server's protocol, which sends the head and the body of an answer together.

uvicorn writes one after the other, and asyncio hands each to the system at once: two calls, two packets, and a client
that wakes twice. It is the largest part of what a prediction costs beyond its score.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Joining:
    """A transport that sends what is written in one step of the loop as one; all else is the transport's own."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

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

    def _send(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class Protocol(HttpToolsProtocol):
    """HTTP/1.1."""

    def connection_made(self, transport: Any) -> None:
        """A client is here."""
        super().connection_made(Joining(transport, self.loop))  # type: ignore[arg-type]

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has said all, and may still listen: what it asked for is answered, then the connection ends.

        Else asyncio would close at once, and lose what Joining keeps until the step ends.
        """
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()
        elif not cycle.more_body:
            cycle.keep_alive = False
        elif self.pipeline:  # half a request, behind others
            self.pipeline.popleft()
            self.timeout_keep_alive = 0
        else:
            self.transport.close()
        return True
