"""uvicorn with a bounded shutdown."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

from serving import limits

_POLL_SECONDS = 0.02


class Server(uvicorn.Server):
    """uvicorn, which would close connections whose first request is on its way, and wait for the others forever."""

    async def startup(self, sockets: Any = None) -> None:
        """Listen, with a backlog larger than what is accepted at once; uvicorn has one number for both."""
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                with socket.fromfd(listener.fileno(), listener.family, listener.type) as duplicate:
                    duplicate.listen(limits.WAITING)

    async def shutdown(self, sockets: Any = None) -> None:
        """Stop listening, wait for the requests, and end."""
        for server in self.servers:
            server.close()
        await self.late()
        cut = asyncio.create_task(self._cut())
        await super().shutdown(sockets)
        cut.cancel()
        if self.force_exit:  # a second interrupt: uvicorn would end without closing the log
            self._abort()
            await self.lifespan.shutdown()

    async def late(self) -> None:
        """Wait for the requests of connections that were just accepted."""
        for _ in range(round(limits.LATE_SECONDS / _POLL_SECONDS)):
            await asyncio.sleep(_POLL_SECONDS)  # first, because a connection that was just accepted is not counted yet
            if not self.server_state.connections:
                return

    async def _cut(self) -> None:
        """Drop clients that stop reading responses, then cancel requests without a response, then close the rest."""
        connections: set[Any] = self.server_state.connections
        await asyncio.sleep(limits.ANSWER_SECONDS)
        for connection in list(connections):
            if connection.flow.write_paused:
                connection.transport.abort()
        await asyncio.sleep(limits.WORD_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()  # the application responds with 503
        await asyncio.sleep(limits.WORD_SECONDS)
        self._abort()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
