"""A client that keeps connections busy, in a process of its own.

`python -m bench.load HOST PORT PATH BODY CONNECTIONS SECONDS`

It speaks HTTP/1.1 over asyncio's protocols, without a library. Each run also measures the client alone
(`subjects/ceiling.py`), to show that it is fast enough.
"""

import asyncio
import json
import sys
import time
from pathlib import Path


class Client(asyncio.Protocol):
    """One connection: sends the request again after each response.

    Attributes:
        seconds: of each response.
        bad: number of responses that were not 200 or were cut off.
    """

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
        self.until = until
        self.seconds: list[float] = []
        self.bad = 0
        self.done = asyncio.get_running_loop().create_future()
        self._head = b""
        self._rest = 0  # remaining bytes of the response; they are counted, not stored
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._head = b""
        self._sent = time.perf_counter()
        self._transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count the bytes, and send again when the response is complete."""
        if self._rest:
            self._rest -= len(data)
        else:
            head, separator, body = (self._head + data).partition(b"\r\n\r\n")
            self._head = head + separator + body
            if not separator:
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.bad += not head.startswith(b"HTTP/1.1 200") or not length
            self._rest = int(length or 0) - len(body)
        if not self._rest:
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._sent)
        if now < self.until:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Count a connection that the server closed."""
        if not self.done.done():
            self.bad += 1
            self.done.set_result(None)


async def run(host: str, port: int, path: str, body: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Keep the connections busy for `seconds`.

    Returns:
        requests a second, the 50th and 99th percentile in milliseconds, and the number of bad responses.
    """
    kind = "Content-Type: application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    started = time.perf_counter()
    made = [
        await asyncio.get_running_loop().create_connection(
            lambda: Client(head.encode() + body, started + seconds), host, port
        )
        for _ in range(connections)
    ]
    clients = [client for _, client in made]
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - started
    times = sorted(seconds for client in clients for seconds in client.seconds) or [float("nan")]
    return {
        "rate": len(times) / took,
        "p50": times[len(times) // 2] * 1e3,
        "p99": times[int(len(times) * 0.99)] * 1e3,
        "bad": sum(client.bad for client in clients),
    }


if __name__ == "__main__":
    host, port, path, body, connections, seconds = sys.argv[1:]
    content = Path(body).read_bytes()
    print(json.dumps(asyncio.run(run(host, int(port), path, content, int(connections), float(seconds)))))
