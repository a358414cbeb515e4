"""models/signature.json: the inputs and the output of a model, and which rows it was trained on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from pipelines.cli.errors import InputError

GRAPH_TYPES = {
    "number": "tensor(float)",
    "integer": "tensor(float)",
    "boolean": "tensor(float)",
    "category": "tensor(string)",
    "timestamp": "tensor(int64)",
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Input:
    """A raw request field. A missing number is NaN, a missing category the empty string.

    Attributes:
        prepared: whether features/prepare.py made its values in the training rows; who sends a request makes them, too.
    """

    name: str
    type: Literal["number", "integer", "boolean", "category", "timestamp"]
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    sensitive: bool = False
    prepared: bool = False

    @model_validator(mode="after")
    def _a_time_is_never_missing(self) -> Self:
        if self.type == "timestamp" and self.nullable:
            raise ValueError(f"{self.name} is a timestamp, which cannot be missing")
        return self

    def expects(self) -> str:
        """Return what a value must be, in words for an error message."""
        if self.allowed is not None:
            expected = "one of " + ", ".join(self.allowed)
        else:
            expected = {
                "number": "a number",
                "integer": "a whole number",
                "boolean": "true or false",
                "category": "a text",
                "timestamp": "a time (ISO 8601, or seconds since 1970)",
            }[self.type]
        if self.min is not None:
            expected += f" from {self.min:.15g}"
        if self.max is not None:
            expected += f"{' up' if self.min is None else ''} to {self.max:.15g}"
        return expected + (" or nothing" if self.nullable else "")

    def to_json(self) -> dict[str, Any]:
        """Return the entry of signature.json."""
        document = {key: value for key, value in asdict(self).items() if value is not None}
        if self.allowed is not None:
            document["allowed"] = list(self.allowed)
        for flag in ("sensitive", "prepared"):
            if not document[flag]:
                del document[flag]
        if self.nullable:
            document["missing"] = "" if self.type == "category" else "NaN"
        return document


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Signature:
    """The inputs and the output of a model, and the rows that it was trained on (`trained_until`, or `split`)."""

    model_name: str
    task: str
    target: str
    inputs: tuple[Input, ...]
    output: str
    candidate: str
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    trained_until: str | None = None
    split: Mapping[str, Any] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the raw fields, in the order of the inputs."""
        return tuple(item.name for item in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """Return the content of signature.json."""
        absent = {"trained_until" if self.split is not None else "split"}
        if self.task == "regression":
            absent |= {"classes", "threshold"}
        document = asdict(self) | {"inputs": [item.to_json() for item in self.inputs], "classes": list(self.classes)}
        return {key: value for key, value in document.items() if key not in absent}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Signature":
        """Read the content of a signature.json.

        Raises:
            KeyError, TypeError, ValueError: if a part is missing or invalid.
        """
        inputs = [{key: value for key, value in dict(item).items() if key != "missing"} for item in document["inputs"]]
        # Before version 0.2 of the template the key of the model name was `release`.
        model_name = document["model_name"] if "model_name" in document else document["release"]
        return _SIGNATURE.validate_python({**document, "model_name": model_name, "inputs": inputs})


_SIGNATURE = TypeAdapter(Signature)


def load_signature(path: Path) -> Signature:
    """Read signature.json.

    Raises:
        InputError: if it is missing or not a signature.
    """
    try:
        return Signature.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing", "Reproduce the pipeline: `make review`.") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            reason = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(
            f"{path} is not a signature: {reason}", "Restore it: `dvc checkout`, or `make review`."
        ) from error
