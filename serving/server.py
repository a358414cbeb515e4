"""uvicorn's server, with another beginning and another end."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

from serving import limits

_POLL_SECONDS = 0.02


class Server(uvicorn.Server):
    """uvicorn, which would close a connection whose first request is still on its way."""

    async def startup(self, sockets: Any = None) -> None:
        """Begin to listen; uvicorn has one number for what is accepted at once and for what may wait."""
        await super().startup(sockets)
        for server in self.servers:
            for one in server.sockets:
                with socket.fromfd(one.fileno(), one.family, one.type) as same:
                    same.listen(limits.WAITING)

    async def shutdown(self, sockets: Any = None) -> None:
        """Cease to listen, wait for those requests, and end."""
        for server in self.servers:
            server.close()
        await self.late()
        cut = asyncio.create_task(self._cut())
        await super().shutdown(sockets)
        cut.cancel()
        if self.force_exit:  # an interrupt too many: uvicorn would leave without closing the log
            self._abort()
            await self.lifespan.shutdown()

    async def late(self) -> None:
        """Give the last requests their time, as long as anybody is connected."""
        for _ in range(round(limits.LATE_SECONDS / _POLL_SECONDS)):
            await asyncio.sleep(_POLL_SECONDS)  # first, since what was just accepted is no connection yet
            if not self.server_state.connections:
                return

    async def _cut(self) -> None:
        """End what does not end: first who does not read his answers, then what is not answered, then all the rest."""
        connections: set[Any] = self.server_state.connections
        await asyncio.sleep(limits.ANSWER_SECONDS)
        for connection in list(connections):
            if connection.flow.write_paused:
                connection.transport.abort()
        await asyncio.sleep(limits.WORD_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()  # which the application answers with a refusal
        await asyncio.sleep(limits.WORD_SECONDS)
        self._abort()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
