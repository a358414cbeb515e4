"""The valid values of a field, and why others are not.

The rules are those of pipelines/model/encoding.py, with which the model was judged (a test compares the two on random
values), except for times as text (times.py). An empty text is missing, like null and an absent field.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from serving.responses import FieldError
from serving.signature import Field
from serving.times import to_epoch

MAX_NUMBER = (2 - 2**-23) * 2.0**127  # of float32: the graph would get infinity beyond it


def number_range(field: Field) -> tuple[float, float]:
    """Return the minimum and maximum of a number, which float32 can represent."""
    minimum = -MAX_NUMBER if field.min is None else max(-MAX_NUMBER, field.min)
    return minimum, MAX_NUMBER if field.max is None else min(MAX_NUMBER, field.max)


def value_type(field: Field) -> Any:
    """Return msgspec's type of the field's values; whether a text is a time is not checked by it."""
    value: Any
    if field.type == "timestamp":
        return str | int | float
    if field.type == "category":
        if field.allowed is None:
            value = Annotated[str, Meta(pattern=rf"\A[^\0]{'*' if field.nullable else '+'}\Z")]
        else:
            value = Literal[(*field.allowed, *[""] * field.nullable)]
        return value | None if field.nullable else value
    if field.type == "boolean":
        value = bool | Annotated[float, Meta(ge=0, le=1, multiple_of=1)]
    else:
        minimum, maximum = number_range(field)
        value = Annotated[float, Meta(ge=minimum, le=maximum, multiple_of=1 if field.type == "integer" else None)]
    return value | Literal[""] | None if field.nullable else value


def is_valid(field: Field, value: Any) -> bool:
    """Return whether a value of JSON is valid; None stands for an absent one."""
    try:
        value = msgspec.convert(value, value_type(field))
        if field.type == "timestamp":
            to_epoch(value)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return False
    return True


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
