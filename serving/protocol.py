"""The server's protocol: uvicorn's, with limits to what a client may send and how long it may be silent."""

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
        """A client is here."""
        super().connection_made(Joining(transport, self.loop, self._seconds))  # type: ignore[arg-type]
        self.timeout_keep_alive_task = self.loop.call_later(self._seconds, self.timeout_keep_alive_handler)
        if len(self.connections) > limits.connections():
            self._make_room()

    def _make_room(self) -> None:
        """Close what is idle for another client, else refuse this one.

        First goes who has never asked, then who waits between two requests, of either who came first.
        """
        idle = [one for one in self.connections if isinstance(one, Protocol) and one.idle and one is not self]
        if idle:
            min(idle, key=lambda one: (one.cycle is not None, one._since)).transport.close()
        else:
            self._refuse(503, f"the service has {limits.connections()} connections, and each has a request")

    @property
    def idle(self) -> bool:
        """Whether there is no request on it."""
        cycle: Any = self.cycle
        return (cycle is None or cycle.response_complete) and not self.transport.is_closing()

    def _refuse(self, status: int, message: str) -> None:
        """Say why the connection ends, where that cannot be taken for the answer to an earlier request."""
        if not self._last():
            self.transport.write(raw_response(status, message))
            self.transport.close()

    def _last(self) -> bool:
        """Let the connection end with the answers to what came whole, and read no more; whether there are any."""
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
        """Parse what came. The timer runs on until there is a head, whatever comes before it."""
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
        """A request is here; its body is timed where it is read."""
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
        """What surrounds a part of the body has come to its end."""
        self._head = 0
        super().on_body(body)

    def _should_upgrade(self) -> bool:
        """Asked where a client offers another protocol: True leaves the request to data_received."""
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
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        joining: Any = self.transport
        joining.watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has said all, and may still listen: what it asked for is answered, then the connection ends.

        Else asyncio would close at once, and lose what Joining keeps until the step ends.
        """
        if not self._last():
            self.transport.close()
        return True
