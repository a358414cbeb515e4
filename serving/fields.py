"""The rules of one value: whether it fits its field, as what the graph takes it, and if not, why.

They are those of the scorer that judged the model (a test compares the two on random values), but for the texts of
times (times.py). JSON gives None, booleans, integers of any size, finite floats, texts, arrays and objects. The empty
text is missing, as null and an absent field are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from serving.errors import Fault
from serving.signature import Field
from serving.times import to_epoch

Encoded = float | int | str
MAX_NUMBER = (2 - 2**-23) * 2.0**127  # of float32: beyond it the graph would see infinity


class UnfitError(ValueError):
    """The value is not one of its field."""


def limits(field: Field) -> tuple[float, float]:
    """The range of a number: its own, within what a float32 holds."""
    low = -MAX_NUMBER if field.min is None else max(-MAX_NUMBER, field.min)
    return low, MAX_NUMBER if field.max is None else min(MAX_NUMBER, field.max)


def encoder(field: Field) -> Callable[[Any], Encoded]:
    """The function from a value of JSON to what the graph takes; it raises UnfitError."""
    present = _PRESENT[field.type](field)
    missing: Encoded = "" if field.is_text else math.nan

    def encode(value: Any) -> Encoded:
        if value is None or value == "":
            if field.nullable:
                return missing
            raise UnfitError
        return present(value)

    return encode


def fault(field: Field, value: Any) -> Fault:
    """Why a value that does not fit was refused; the value itself is named unless the field is sensitive."""
    if value is None or value == "":
        return Fault(field.name, f"is missing; expected {field.expects()}")
    return Fault(field.name, f"expected {field.expects()}" + ("" if field.sensitive else f" (got {shown(value)})"))


def shown(value: Any) -> str:
    """The beginning of a value, as it may stand in an answer; an array or an object may be of any size and depth."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    try:
        text = str(value)
    except ValueError:  # a whole number of 5,000 digits
        return "a value that cannot be shown"
    return repr(text[:60]).encode("utf-8", "backslashreplace").decode()


def _number(field: Field) -> Callable[[Any], float]:
    low, high = limits(field)
    whole = field.type == "integer"

    def present(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise UnfitError
        try:
            number = float(value)
        except OverflowError:
            raise UnfitError from None
        if low <= number <= high and (not whole or number.is_integer()):
            return number
        raise UnfitError

    return present


def _boolean(_: Field) -> Callable[[Any], float]:
    def present(value: Any) -> float:
        if type(value) in (bool, int, float) and value in (0, 1):
            return float(value)
        raise UnfitError

    return present


def _category(field: Field) -> Callable[[Any], str]:
    allowed = None if field.allowed is None else frozenset(field.allowed)

    def present(value: Any) -> str:
        if type(value) is str and (is_plain(value) if allowed is None else value in allowed):
            return value
        raise UnfitError

    return present


def is_plain(text: str) -> bool:
    """Whether a graph can take the text: its strings end at a NUL, and are UTF-8."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _timestamp(_: Field) -> Callable[[Any], int]:
    def present(value: Any) -> int:
        if type(value) not in (str, int, float):
            raise UnfitError
        try:
            return to_epoch(value)
        except (ValueError, OverflowError):  # 1e999 is infinity
            raise UnfitError from None

    return present


_PRESENT: Mapping[str, Callable[[Field], Callable[[Any], Encoded]]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "category": _category,
    "timestamp": _timestamp,
}
