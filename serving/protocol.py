"""uvicorn's protocol, with limits for what a client sends and for how long it is silent."""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import limits
from serving.errors import raw_response
from serving.transport import Joining


class Protocol(HttpToolsProtocol):
    """HTTP/1.1.

    One timer ends a connection on which the head of a request is not whole in time: the first after `seconds`, a later
    one after uvicorn's `timeout_keep_alive`.
    """

    def __init__(self, seconds: float, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._seconds = seconds
        self._since = self.loop.time()
        self._over = False
        self._head = 0  # bytes that came since the part in which a head became whole, or a piece of a body came
        self._before = 0  # bytes of that part
        self._part = 0  # bytes of the part that is parsed

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request's head."""
        super().connection_made(Joining(transport, self.loop, self._seconds))  # type: ignore[arg-type]
        self.timeout_keep_alive_task = self.loop.call_later(self._seconds, self.timeout_keep_alive_handler)
        if len(self.connections) > limits.connections():
            self._make_room()

    def _make_room(self) -> None:
        """Close an idle connection, or refuse this one if there is none.

        Connections that never had a request are closed first, then the longest idle.
        """
        others = (other for other in self.connections if isinstance(other, Protocol) and other is not self)
        idle = [other for other in others if other.idle]
        if idle:
            min(idle, key=lambda other: (other.cycle is not None, other._since)).transport.close()
        else:
            self._refuse(503, f"the service has {limits.connections()} connections, and each has a request")

    @property
    def idle(self) -> bool:
        """Whether there is no request on it."""
        cycle: Any = self.cycle
        return (cycle is None or cycle.response_complete) and not self.transport.is_closing()

    def _refuse(self, status: int, message: str) -> None:
        """Respond with an error and close, unless it would be read as the response to an earlier request."""
        if not self._last():
            self.transport.write(raw_response(status, message))
            self.transport.close()

    def _last(self) -> bool:
        """Read no more, and close after the responses to complete requests; return whether there are any."""
        self._over = True
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        if not cycle.more_body:
            cycle.keep_alive = False
            return True
        if self.pipeline:  # half a request, behind others
            self.pipeline.popleft()
            self.timeout_keep_alive = 0
            return True
        return False

    def data_received(self, data: bytes) -> None:
        """Parse the data. The timer runs until a head is complete."""
        if self._over:
            return
        self._part = len(data)
        self._head += self._part
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._ignore(memoryview(data)[offer.args[0] :])
        except httptools.HttpParserError:
            if self._head <= limits.HEAD_BYTES:
                self._refuse(400, "this is not HTTP")
        if not self._head:
            self._before = self._part
        elif self._head > limits.HEAD_BYTES:
            self._refuse(431, f"the headers have more than {limits.HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Begin a request; body.py limits the time for its body."""
        # Its size is counted only where it could be too large.
        if self._before + self._part + self._head > limits.HEAD_BYTES and self._size() > limits.HEAD_BYTES:
            self._head = limits.HEAD_BYTES + 1
            raise OverflowError  # data_received refuses it
        self._head = 0
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body, which ends the framing before it."""
        self._head = 0
        super().on_body(body)

    def _should_upgrade(self) -> bool:
        """Return True where a client offers another protocol, which leaves the request to data_received."""
        return True

    def _ignore(self, rest: Any) -> None:
        """Begin the request again without its offer of another protocol, and go on with the rest.

        The parser takes what follows such a head for the other protocol. A server may ignore the offer (RFC 9110, 7.8),
        and then what follows is the body: another parser is given the same head without the offer.
        """
        while True:
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:  # of the next request
                rest = rest[offer.args[0] :]

    def _head_without_offer(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError("this is no proxy")
        headers = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(headers))

    def pause_writing(self) -> None:
        """Watch a client that reads its responses too slowly."""
        super().pause_writing()
        joining: Any = self.transport
        joining.watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Respond to the complete requests of a client that sends no more, then close.

        asyncio would close at once, and lose what Joining keeps until the step ends.
        """
        if not self._last():
            self.transport.close()
        return True
