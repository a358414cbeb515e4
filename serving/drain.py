"""Shutdown without losing a request: the service first is not ready, then stops listening, then ends (server.py)."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Any


class Drain:
    """Delays the server's own handler of SIGTERM and SIGINT.

    After the first signal the service still responds, closes each connection with its response, and is not ready. After
    `seconds`, in which load balancers notice it, the server gets the signal: it stops listening, completes its requests
    and ends. A second signal reaches the server at once, instead of the first.

    Attributes:
        on: whether a signal was received.
    """

    def __init__(self, seconds: float) -> None:
        self.on = False
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap the server's handlers, which must be installed. Only in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = signal.getsignal(number)
            if callable(server):
                signal.signal(number, self._handler(loop, server))

    def _handler(self, loop: asyncio.AbstractEventLoop, server: Any) -> Any:
        def handle(number: int, frame: FrameType | None) -> None:
            # In the loop, which calls one after the other.
            loop.call_soon_threadsafe(self._end if self.on else self._begin, server, number)
            self.on = True

        return handle

    def _begin(self, server: Any, number: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end, server, number)

    def _end(self, server: Any, number: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        server(number, None)
