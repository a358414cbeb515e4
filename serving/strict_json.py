"""Reads JSON strictly: no NaN, no key twice, only UTF-8. Slow, but it explains what is wrong."""

from __future__ import annotations

import json
from typing import Any

from serving.errors import RequestError


class _StrictError(ValueError):
    pass


def loads(raw: bytes) -> Any:
    """Return the value of a document.

    Raises:
        RequestError: 400, if it is not JSON, or JSON that parsers read differently.
    """
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 (byte {error.start})"
    except _StrictError as error:
        message = str(error)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if raw.strip() else "it is empty"
        message = f"the body is not JSON: {error.msg} ({place})"
    except RecursionError:
        message = "the body is nested too deeply"
    except ValueError:  # the interpreter's limit of digits
        message = "the body has a number of too many digits"
    raise RequestError(400, message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise _StrictError("an object of the body has a key twice")
    return document


def _refuse_constant(name: str) -> Any:
    raise _StrictError(f"the body is not JSON: {name} is not a JSON value")
