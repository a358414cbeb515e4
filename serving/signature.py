"""models/signature.json: the inputs and the output of the model."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from serving.errors import CannotStartError

_EXPECTED = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "a text",
    "timestamp": "a time (as 2026-03-31T12:00:00Z, or seconds since 1970)",
}


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A raw field of a request; `min` and `max` are included in the range.

    Attributes:
        prepared: whether features/prepare.py made the values that the model was trained on; clients make theirs alike.
        missing: for other readers of the file: what the graph gets for a missing value.
    """

    name: str
    type: Literal["number", "integer", "boolean", "category", "timestamp"]
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    sensitive: bool = False
    prepared: bool = False
    missing: str | None = None

    def __post_init__(self) -> None:
        if self.type == "timestamp" and self.nullable:
            raise ValueError(f"{self.name} is a timestamp, which cannot be missing")
        if self.allowed is not None and (self.type != "category" or "" in self.allowed):
            raise ValueError(f"{self.name} cannot have these allowed values")
        if not self.name.isprintable() or '"' in self.name or "\\" in self.name:
            raise ValueError(f"{self.name!r} is a name that msgspec does not read")

    @property
    def is_text(self) -> bool:
        """Whether the graph takes strings; a missing one is empty."""
        return self.type == "category"

    def expects(self) -> str:
        """Return what a value must be, in words for an error message."""
        expected = _EXPECTED[self.type] if self.allowed is None else "one of " + ", ".join(self.allowed)
        if self.min is not None:
            expected += f" from {self.min:.15g}"
        if self.max is not None:
            expected += f"{' up' if self.min is None else ''} to {self.max:.15g}"
        return expected + (" or nothing" if self.nullable else "")


class Signature(msgspec.Struct, frozen=True):
    """The inputs and the output of a model.

    Attributes:
        classes: the negative and the positive one; empty for a regression.
        threshold: the decision is true from this probability on; None for a regression.
        document: the whole content of the file.
    """

    model_name: str
    task: Literal["classification", "regression"]
    target: str
    inputs: tuple[Field, ...]
    output: str
    example: dict[str, Any]
    document: dict[str, Any]
    classes: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        names = {field.name for field in self.inputs}
        if len(names) < len(self.inputs):
            raise ValueError("two inputs have the same name")
        if unknown := self.example.keys() - names:
            raise ValueError(f"the example has {min(unknown)}, which is not an input")
        if (len(self.classes) == 2 and self.threshold is not None) != (self.task == "classification"):
            raise ValueError("a classification, and it alone, has two classes and a threshold")


def load(path: Path) -> Signature:
    """Read signature.json.

    Raises:
        CannotStartError: if it is missing or not a signature.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return msgspec.convert({**document, "document": document}, Signature)
    except FileNotFoundError as error:
        raise CannotStartError(f"{path} is missing") from error
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise CannotStartError(f"{path} is not a signature: {error}") from error
