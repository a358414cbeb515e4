"""JSON read strictly: no NaN, no key twice, UTF-8 alone. It is slow, and says what is wrong."""

from __future__ import annotations

import json
from typing import Any

from serving.errors import RefusedError


class _StrictError(ValueError):
    pass


def loads(raw: bytes) -> Any:
    """The value of a document.

    Raises:
        RefusedError: 400, if it is not JSON, or JSON that readers disagree about.
    """
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the body is not UTF-8 (byte {error.start})") from None
    except _StrictError as error:
        raise RefusedError(400, str(error)) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if raw.strip() else "it is empty"
        raise RefusedError(400, f"the body is not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise RefusedError(400, "the body is nested too deeply") from None
    except ValueError:  # the interpreter's limit of digits
        raise RefusedError(400, "the body has a number of too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _StrictError("an object of the body has a key twice")
    return found


def _constant(name: str) -> Any:
    raise _StrictError(f"the body is not JSON: {name} is no value of it")
