"""Ending without losing a request: first no longer ready, then no longer listening, then no longer there.

How it ceases to listen and ends is in server.py.
"""

from __future__ import annotations

import asyncio
import signal
from types import FrameType
from typing import Any


class Drain:
    """Stands before the server's own handler of SIGTERM and SIGINT.

    At the first signal the service goes on to answer, says in each answer that the connection ends with it, and is not
    ready any more. So many seconds later, in which clients and balancers take their leave, the server stops to listen,
    finishes what it has begun, and ends. A second signal reaches the server at once, instead of the first.

    Attributes:
        on: whether the end has been asked for.
    """

    def __init__(self, seconds: float) -> None:
        self.on = False
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over the signals; the server has set its handlers by now. Only for the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            server = signal.getsignal(number)
            if callable(server):
                signal.signal(number, self._handler(loop, server))

    def _handler(self, loop: asyncio.AbstractEventLoop, server: Any) -> Any:
        def handle(number: int, frame: FrameType | None) -> None:
            # In the loop, where they come one after the other.
            loop.call_soon_threadsafe(self._end if self.on else self._begin, server, number)
            self.on = True

        return handle

    def _begin(self, server: Any, number: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end, server, number)

    def _end(self, server: Any, number: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        server(number, None)
