"""Whether the raw values of one row fit the signature, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.model.encoding import MAX_EPOCH, MAX_NUMBER, is_missing, is_number, to_epoch
from pipelines.model.signature import Input

_BOOLS = (bool, np.bool_)
_NARROW = (np.float32, np.float16)


@dataclass(frozen=True)
class Rejection:
    """Why a row cannot be scored: the field and what was expected. It never holds a sensitive value."""

    field: str
    reason: str


def check_value(item: Input, value: Any) -> Rejection | None:
    """Why a raw value does not fit its input; None if it does."""
    if is_missing(value):
        return None if item.nullable else Rejection(item.name, f"is missing; expected {item.expects()}")
    if _fits(item, value):
        return None
    shown = "" if item.sensitive else f" (got {_shown(value)})"
    return Rejection(item.name, f"expected {item.expects()}{shown}")


def _shown(value: Any) -> str:
    try:
        return repr(str(value)[:60])
    except Exception:  # any class may fail in its own way; a whole number of 5,000 digits does, too
        return f"a {type(value).__name__} that cannot be shown"


def _fits(item: Input, value: Any) -> bool:
    """Whether a present value is of the type, in the range and among the allowed ones."""
    if item.type == "category":
        return isinstance(value, str) and (_is_plain(value) if item.allowed is None else value in item.allowed)
    if item.type == "timestamp":
        try:
            return abs(to_epoch(value)) < MAX_EPOCH
        except ValueError:
            return False
    if isinstance(value, _BOOLS):
        return item.type == "boolean"
    return is_number(value) and _fits_number(item, value)


def _is_plain(text: str) -> bool:
    """Whether a graph can take the text: its strings end at a NUL, and are UTF-8."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _fits_number(item: Input, value: Any) -> bool:
    low, high = item.min, item.max
    if isinstance(value, _NARROW):
        # A float32 of 0.01 is below the double 0.01: compare it in its own precision.
        with np.errstate(over="ignore"):
            low, high = (None if limit is None else float(np.float32(limit)) for limit in (low, high))
    try:
        number = float(value)
    except OverflowError:
        return False
    if not abs(number) <= MAX_NUMBER:
        return False
    if item.type == "boolean":
        return number in (0, 1)
    if item.type == "integer" and not number.is_integer():
        return False
    return (low is None or number >= low) and (high is None or number <= high)
