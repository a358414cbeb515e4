"""models/signature.json: what the model takes and gives."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from serving.errors import CannotStartError

GRAPH_TYPES = {
    "number": "tensor(float)",
    "integer": "tensor(float)",
    "boolean": "tensor(float)",
    "category": "tensor(string)",
    "timestamp": "tensor(int64)",
}
_WORDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "timestamp": "a time (as 2026-03-31T12:00:00Z, or seconds since 1970)",
}


@dataclass(frozen=True)
class Field:
    """One raw field of a request; a range's ends are included."""

    name: str
    type: str
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    sensitive: bool = False

    def __post_init__(self) -> None:
        if self.type not in GRAPH_TYPES:
            raise ValueError(f"{self.name} is of type {self.type}")
        if self.type == "timestamp" and self.nullable:
            raise ValueError(f"{self.name} is a timestamp, which cannot be missing")
        if self.allowed is not None and (self.type != "category" or not self.allowed or "" in self.allowed):
            raise ValueError(f"{self.name} cannot be of these allowed values")
        if not self.name.isprintable() or '"' in self.name or "\\" in self.name:
            raise ValueError(f"{self.name!r} is a name that msgspec does not read")

    @property
    def is_text(self) -> bool:
        """Whether the graph takes strings, in which the empty one is missing."""
        return self.type == "category"

    def expects(self) -> str:
        """What a value must be, in words for an error message."""
        what = _WORDS[self.type] if self.allowed is None else "one of " + ", ".join(self.allowed)
        if self.min is not None:
            what += f" from {self.min:.15g}"
        if self.max is not None:
            what += f"{' up' if self.min is None else ''} to {self.max:.15g}"
        return what + (" or nothing" if self.nullable else "")


_KEYS = frozenset(field.name for field in dataclasses.fields(Field))


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        line: name of the model's line, such as `fraud`.
        threshold: the probability from which on the decision is true; None in a regression.
        document: the whole content of the file.
    """

    line: str
    target: str
    fields: tuple[Field, ...]
    output: str
    classes: tuple[str, ...]
    threshold: float | None
    example: Mapping[str, Any]
    document: Mapping[str, Any]


def load(path: Path) -> Signature:
    """Read signature.json.

    Raises:
        CannotStartError: if it is missing or not a signature.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        fields = tuple(_field(item) for item in document["inputs"])
        if len({field.name for field in fields}) < len(fields):
            raise ValueError("two inputs have the same name")
        is_class = {"classification": True, "regression": False}[document["task"]]
        return Signature(
            line=str(document["model_name"]),
            target=str(document["target"]),
            fields=fields,
            output=str(document["output"]),
            classes=tuple(document["classes"]) if is_class else (),
            threshold=float(document["threshold"]) if is_class else None,
            example=dict(document["example"]),
            document=document,
        )
    except FileNotFoundError as error:
        raise CannotStartError(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise CannotStartError(f"{path} is not a signature: {type(error).__name__} {error}") from error


def _field(item: Mapping[str, Any]) -> Field:
    known = dict(item)
    known.pop("missing", None)
    if unknown := known.keys() - _KEYS:
        raise ValueError(f"an input has a {min(unknown)}")
    return msgspec.convert(known, Field)
