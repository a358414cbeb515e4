"""The JSON bodies of responses. openapi.py derives their schemas from these types."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

_PredictionId = Annotated[
    str, Meta(description="the id of the request; in a batch, followed by a slash and the row's number")
]


class Body(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The base of all bodies; clients may rely on it that there are no other keys."""


class Decision(Body, frozen=True):
    """The prediction of a classifier."""

    probability: Annotated[float, Meta(ge=0, le=1, description="of the positive class")]
    decision: Annotated[bool, Meta(description="whether the probability reaches the threshold")]
    threshold: float
    release: str
    request_id: _PredictionId


class Value(Body, frozen=True):
    """The prediction of a regression."""

    value: float
    release: str
    request_id: _PredictionId


class Info(Body, frozen=True):
    """What is served."""

    release: str
    version: str | None
    model: Annotated[str, Meta(description="MD5 of model.onnx")]
    signature: dict[str, Any]


class FieldError(Body, frozen=True):
    """Why the value of a field is invalid. It never contains a value of a sensitive field."""

    field: str
    reason: str
    row: Annotated[int, Meta(ge=0, description="in a batch, counted from 0")] | UnsetType = UNSET

    def __str__(self) -> str:
        return f"{'' if self.row is UNSET else f'row {self.row}: '}{self.field} {self.reason}"


class Error(Body, frozen=True):
    """The response to a request that gets no prediction."""

    error: Annotated[str, Meta(description="what is wrong, for people")]
    request_id: str
    fields: tuple[FieldError, ...]
