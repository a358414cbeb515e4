"""What can go wrong: a service that cannot start, and a request that gets no prediction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus


class CannotStartError(Exception):
    """The files or settings are wrong. The message is the one line that is printed."""


@dataclass(frozen=True)
class Fault:
    """Why a request is refused: the field, what was expected, and in a batch the row (counted from 0).

    It never holds a value of a sensitive field.
    """

    field: str
    reason: str
    row: int | None = None

    def __str__(self) -> str:
        return f"{'' if self.row is None else f'row {self.row}: '}{self.field} {self.reason}"


class RefusedError(Exception):
    """A request that is answered with a status of the 400s, or 503.

    Attributes:
        status: of the answer.
        faults: per field, where the request could be read.
        headers: of the answer besides the usual ones.
        close: whether the connection must end, since the body was not read to its end.
    """

    def __init__(
        self,
        status: int,
        message: str,
        faults: Sequence[Fault] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.faults = tuple(faults)
        self.headers = tuple(headers)
        self.close = close


SHOWN = 20  # faults in one answer; of the others none is made, since there may be a million


def unfit(faults: Sequence[Fault], count: int) -> RefusedError:
    """The refusal of rows that can be read, and do not fit the signature; `faults` are the first of `count`."""
    rest = f" (and {count - 1} more)" if count > 1 else ""
    return RefusedError(422, f"{faults[0]}{rest}", faults)


def unasked(status: int, message: str) -> bytes:
    """The whole answer, after which the connection ends, to what has not become a request."""
    name = secrets.token_hex(16)
    content = json.dumps({"error": message, "request_id": name, "fields": []}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        f"x-request-id: {name}",
        *(["retry-after: 1"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
        "connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + content
