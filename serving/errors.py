"""Errors: the service cannot start, or a request gets no prediction."""

from collections.abc import Sequence

from serving.responses import FieldError


class CannotStartError(Exception):
    """The files or settings are wrong. The message is the one line that is printed."""


class RequestError(Exception):
    """The request is answered with a status of 400 to 499, or 503.

    Attributes:
        errors: the invalid fields, if the request could be read.
        headers: of the response, besides the usual ones.
        close: whether the connection must be closed, because the body was not read to its end.
    """

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[FieldError] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors = tuple(errors)
        self.headers = tuple(headers)
        self.close = close


MAX_SHOWN = 20  # errors listed in one response
MAX_COUNTED = 1_000  # errors after which the rest of a body is not checked


def overloaded(message: str, *, close: bool = False) -> RequestError:
    """Return the 503 of a request that the client may send again after a second."""
    return RequestError(503, message, headers=[(b"retry-after", b"1")], close=close)


def invalid_rows(errors: Sequence[FieldError], count: int) -> RequestError:
    """Return the 422 of rows with invalid values; `errors` are the first of `count`, which ends at MAX_COUNTED."""
    least = "at least " if count == MAX_COUNTED else ""
    rest = f" (and {least}{count - 1} more)" if count > 1 else ""
    return RequestError(422, f"{errors[0]}{rest}", errors)
