"""The columns of the prediction log."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.parquet import Column
from serving.rows import Columns
from serving.signature import Field, Signature

_EXACT = 2**53  # a double represents whole numbers up to this one exactly


@dataclass(frozen=True)
class Entry:
    """The predictions of one request.

    Attributes:
        time: seconds since 1970.
        ids: request ids, one for each row.
        columns: encoded inputs, shape (fields, rows).
        size: bytes of the request; its texts have fewer.
    """

    time: float
    ids: Sequence[str]
    columns: Columns
    scores: Sequence[float]
    latency_ms: float
    size: int


class LogColumns:
    """Makes the columns of log files for one model."""

    def __init__(self, signature: Signature, release: str, role: str, salt: str | None) -> None:
        """`salt` is the key of the hashes of sensitive inputs; by default the model name is."""
        self._signature = signature
        self._release = release
        self._role = role
        self._key = (salt or signature.model_name).encode()

    def make(self, entries: Sequence[Entry]) -> list[Column]:
        """Return the columns of a file with these entries."""
        threshold = self._signature.threshold
        scores = [score for entry in entries for score in entry.scores]
        before = [
            Column("time", "time", [int(entry.time * 1e6) for entry in entries for _ in entry.ids]),
            Column("request_id", "text", [request_id for entry in entries for request_id in entry.ids]),
            Column("release", "text", [self._release] * len(scores)),
            Column("role", "text", [self._role] * len(scores)),
        ]
        after = [Column("value" if threshold is None else "probability", "number", scores)]
        if threshold is not None:
            after.append(Column("decision", "boolean", [score >= threshold for score in scores]))
        after.append(Column("latency_ms", "number", [entry.latency_ms for entry in entries for _ in entry.ids]))
        reserved = {column.name for column in before + after}
        names = reserved | {field.name for field in self._signature.inputs}
        inputs = []
        for i, field in enumerate(self._signature.inputs):
            name = field.name
            if name in reserved:
                while name in names:
                    name = f"input_{name}"
            kind, values = self._convert(field, [value for entry in entries for value in entry.columns[i]])
            inputs.append(Column(name, kind, values))
        return before + inputs + after

    def _convert(self, field: Field, values: list[Any]) -> tuple[str, list[Any]]:
        """Return the kind of an input's column, and its values."""
        if field.sensitive:
            hashes = {value: self._hash(field, value) for value in set(values)}
            return "text", [hashes[value] for value in values]
        if field.type == "category":
            return "text", [value or None for value in values]
        if field.type == "timestamp":
            return "time", [value * 1_000_000 for value in values]
        # A missing number is NaN, which is not equal to itself.
        if field.type == "boolean":
            return "boolean", [bool(value) if value == value else None for value in values]
        is_bounded = all(limit is not None and abs(limit) <= _EXACT for limit in (field.min, field.max))
        if field.type == "integer" and is_bounded:
            return "integer", [int(value) if value == value else None for value in values]
        return "number", [value if value == value else None for value in values]

    def _hash(self, field: Field, value: Any) -> str | None:
        """Return the keyed SHA-256 of a value; equal values have equal hashes in every file and release."""
        if value == "" or value != value:
            return None
        text = value if field.type == "category" else repr(float(value) + 0.0)  # turns -0.0 into 0.0
        return hmac.digest(self._key, text.encode(), "sha256").hex()
