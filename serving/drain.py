"""Ending without losing a request: first no longer ready, then no longer listening, then no longer there."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Any

import uvicorn

_LATE_SECONDS = 0.5  # in which the request of a connection that was just accepted comes
_POLL_SECONDS = 0.02


class Server(uvicorn.Server):
    """uvicorn, which would close a connection whose first request is still on its way."""

    async def shutdown(self, sockets: Any = None) -> None:
        """Cease to listen, wait for those requests, and end."""
        for server in self.servers:
            server.close()
        await self.late()
        await super().shutdown(sockets)

    async def late(self) -> None:
        """Give the last requests their time, as long as anybody is connected."""
        for _ in range(round(_LATE_SECONDS / _POLL_SECONDS)):
            await asyncio.sleep(_POLL_SECONDS)  # first, since what was just accepted is no connection yet
            if not self.server_state.connections:
                return


class Drain:
    """Stands before the server's own handler of SIGTERM and SIGINT.

    At the first signal the service goes on to answer, says in each answer that the connection ends with it, and is not
    ready any more. So many seconds later, in which clients and balancers take their leave, the server stops to listen,
    finishes what it has begun, and ends. A second signal reaches the server at once.

    Attributes:
        on: whether the end has been asked for.
    """

    def __init__(self, seconds: float) -> None:
        self.on = False
        self._seconds = seconds

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over the signals; the server has set its handlers by now. Only for the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = signal.getsignal(number)
            if callable(server):
                signal.signal(number, self._handler(loop, server))

    def _handler(self, loop: asyncio.AbstractEventLoop, server: Any) -> Any:
        def handle(number: int, frame: FrameType | None) -> None:
            if self.on:
                server(number, frame)
                return
            self.on = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, server, number, None)

        return handle
