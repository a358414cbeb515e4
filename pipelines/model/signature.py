"""models/signature.json: the inputs and the output of a model, and which rows it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError

GRAPH_TYPES = {
    "number": "tensor(float)",
    "integer": "tensor(float)",
    "boolean": "tensor(float)",
    "category": "tensor(string)",
    "timestamp": "tensor(int64)",
}


@dataclass(frozen=True)
class Input:
    """A raw request field. A missing number is NaN, a missing category the empty string.

    Raises:
        ValueError: if a graph cannot have such an input, such as a nullable time, which has no value for missing.
    """

    name: str
    type: str
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    sensitive: bool = False

    def __post_init__(self) -> None:
        if self.type not in GRAPH_TYPES:
            raise ValueError(f"{self.name} is of type {self.type}, which no model reads")
        if self.type == "timestamp" and self.nullable:
            raise ValueError(f"{self.name} is a timestamp, which cannot be missing")
        if not all(limit is None or isinstance(limit, int | float) for limit in (self.min, self.max)):
            raise ValueError(f"{self.name} has a range that is not of numbers")

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


@dataclass(frozen=True)
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
        document: dict[str, Any] = {
            "model_name": self.model_name,
            "task": self.task,
            "target": self.target,
            "candidate": self.candidate,
            "inputs": [_without_none(item) for item in self.inputs],
            "output": self.output,
            "example": dict(self.example),
        }
        if self.task == "classification":
            document |= {"classes": list(self.classes), "threshold": self.threshold}
        if self.split is None:
            document["trained_until"] = self.trained_until
        else:
            document["split"] = dict(self.split)
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Signature:
        """Read the content of a signature.json.

        Raises:
            KeyError, TypeError, ValueError: if a part is missing or invalid.
        """
        inputs = []
        for item in document["inputs"]:
            if not isinstance(item, Mapping) or not isinstance(item.get("allowed", []), list):
                raise TypeError("an input is not an object with a list of allowed values")
            fields = {key: value for key, value in item.items() if key != "missing"}
            fields["allowed"] = tuple(fields["allowed"]) if "allowed" in fields else None
            inputs.append(Input(**fields))
        rest = {key: document[key] for key in ("task", "target", "candidate", "output", "example")}
        return Signature(
            # Before version 0.2 of the template the key was `release`.
            model_name=document["model_name"] if "model_name" in document else document["release"],
            inputs=tuple(inputs),
            classes=tuple(document.get("classes", ())),
            threshold=document.get("threshold"),
            trained_until=document.get("trained_until"),
            split=document.get("split"),
            **rest,
        )


def _without_none(item: Input) -> dict[str, Any]:
    document: dict[str, Any] = {"name": item.name, "type": item.type, "nullable": item.nullable}
    document |= {key: value for key in ("min", "max") if (value := getattr(item, key)) is not None}
    if item.allowed is not None:
        document["allowed"] = list(item.allowed)
    if item.sensitive:
        document["sensitive"] = True
    if item.nullable:
        document["missing"] = "" if item.type == "category" else "NaN"
    return document


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
        raise InputError(
            f"{path} is not a signature: {error}", "Restore it: `dvc checkout`, or `make review`."
        ) from error
