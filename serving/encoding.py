"""Encodes JSON values as the inputs of the graph, and explains invalid ones.

The rules are those of pipelines/model/encoding.py, with which the model was judged (a test compares the two on random
values), except for times as text (times.py). An empty text is missing, like null and an absent field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from serving.responses import FieldError
from serving.signature import Field
from serving.times import to_epoch

Encoded = float | int | str
MAX_NUMBER = (2 - 2**-23) * 2.0**127  # of float32: the graph would get infinity beyond it


class InvalidValueError(ValueError):
    """The value is not valid for its field."""


def number_range(field: Field) -> tuple[float, float]:
    """Return the minimum and maximum of a number, which float32 can represent."""
    minimum = -MAX_NUMBER if field.min is None else max(-MAX_NUMBER, field.min)
    return minimum, MAX_NUMBER if field.max is None else min(MAX_NUMBER, field.max)


def encoder(field: Field) -> Callable[[Any], Encoded]:
    """Return the function that encodes a value of the field, or raises InvalidValueError."""
    encode_present = _ENCODERS[field.type](field)
    missing: Encoded = "" if field.is_text else math.nan

    def encode(value: Any) -> Encoded:
        if value is None or value == "":
            if field.nullable:
                return missing
            raise InvalidValueError
        return encode_present(value)

    return encode


def explain(field: Field | str, row: Mapping[str, Any], number: int | UnsetType = UNSET) -> FieldError:
    """Return why a field of a row, or a name that is no field, is invalid; a sensitive value is not shown."""
    if isinstance(field, str):
        return FieldError(abbreviated(field)[1:-1], "is not a field of this model", number)
    value = row.get(field.name)
    if value is None or value == "":
        source = ", computed as features/prepare.py does" if field.prepared else ""
        return FieldError(field.name, f"is missing; expected {field.expects()}{source}", number)
    shown = "" if field.sensitive else f" (got {abbreviated(value)})"
    return FieldError(field.name, f"expected {field.expects()}{shown}", number)


def abbreviated(value: Any) -> str:
    """Return the beginning of a value; an array or an object may have any size and depth, and is only named."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    try:
        text = str(value)
    except ValueError:  # an integer with more digits than Python converts
        return "a value that cannot be shown"
    return repr(text[:60]).encode("utf-8", "backslashreplace").decode()


def _number(field: Field) -> Callable[[Any], float]:
    minimum, maximum = number_range(field)
    is_whole = field.type == "integer"

    def encode(value: Any) -> float:
        if type(value) is float or type(value) is int:
            try:
                number = float(value)
            except OverflowError:
                raise InvalidValueError from None
            if minimum <= number <= maximum and (not is_whole or number.is_integer()):
                return number
        raise InvalidValueError

    return encode


def _boolean(_: Field) -> Callable[[Any], float]:
    def encode(value: Any) -> float:
        if type(value) in (bool, int, float) and value in (0, 1):
            return float(value)
        raise InvalidValueError

    return encode


def _category(field: Field) -> Callable[[Any], str]:
    allowed = None if field.allowed is None else frozenset(field.allowed)

    def encode(value: Any) -> str:
        if type(value) is str and (_is_encodable(value) if allowed is None else value in allowed):
            return value
        raise InvalidValueError

    return encode


def _is_encodable(text: str) -> bool:
    """Return whether a graph can take the text: its strings end at a NUL, and are UTF-8."""
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False


def _timestamp(_: Field) -> Callable[[Any], int]:
    def encode(value: Any) -> int:
        if type(value) in (str, int, float):
            try:
                return to_epoch(value)
            except (ValueError, OverflowError):  # 1e999 is infinity
                pass
        raise InvalidValueError

    return encode


_ENCODERS: Mapping[str, Callable[[Field], Callable[[Any], Encoded]]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "category": _category,
    "timestamp": _timestamp,
}
