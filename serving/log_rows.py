"""Encodes predictions as lines of the prediction log: JSON, with a key for each column."""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from serving.rows import Row
from serving.signature import Field, Signature

_EXACT = 2**53  # a double represents whole numbers up to this one exactly
_encode = msgspec.json.Encoder().encode


class LogRows:
    """Encodes the predictions of one model.

    Times are seconds since 1970. Missing values, and NaN, are null.
    """

    def __init__(self, signature: Signature, release: str, role: str, salt: str | None) -> None:
        """`salt` is the key of the hashes of sensitive inputs; by default the model name is."""
        self._release = release
        self._role = role
        self._threshold = signature.threshold
        self._key = (salt or signature.model_name).encode()
        converters = ((i, self._converter(field)) for i, field in enumerate(signature.inputs))
        self._converters = [(i, convert) for i, convert in converters if convert is not None]
        before = ["time", "request_id", "release", "role", "key_name"]
        after = ["value"] if signature.threshold is None else ["probability", "decision"]
        after.append("latency_ms")
        reserved = {*before, *after}
        names = reserved | {field.name for field in signature.inputs}
        columns = []
        for field in signature.inputs:
            column = field.name
            if column in reserved:
                while column in names:
                    column = f"input_{column}"
            columns.append(column)
        members = {f"f{i}": column for i, column in enumerate([*before, *columns, *after])}
        self._line: Any = msgspec.defstruct("Line", list(members), rename=members, gc=False)

    def encode(
        self,
        time: float,
        ids: Iterable[str],
        rows: Iterable[Iterable[Any]],
        scores: Iterable[float],
        latency_ms: float,
        key_name: str | None,
    ) -> bytes:
        """Return a line for each row of a request.

        Args:
            rows: encoded inputs.
            key_name: of the access key, as the proxy in front of the service names it.
        """
        line, release, role, threshold = self._line, self._release, self._role, self._threshold
        lines = []
        for request_id, row, score in zip(ids, rows, scores, strict=True):
            values: Row = list(row)
            for i, convert in self._converters:
                values[i] = convert(values[i])
            result = (score,) if threshold is None else (score, score >= threshold)
            lines.append(_encode(line(time, request_id, release, role, key_name, *values, *result, latency_ms)))
        lines.append(b"")
        return b"\n".join(lines)

    def _converter(self, field: Field) -> Callable[[Any], Any] | None:
        """Return the function from an encoded input to what is logged; None if both are the same."""
        if field.sensitive:
            return lambda value: self._hash(field, value)
        if field.type == "category":
            return (lambda value: value or None) if field.nullable else None
        # A missing number is NaN, which is not equal to itself.
        if field.type == "boolean":
            return lambda value: bool(value) if value == value else None
        if field.type == "integer" and all(
            limit is not None and abs(limit) <= _EXACT for limit in (field.min, field.max)
        ):
            return lambda value: int(value) if value == value else None
        return None

    def _hash(self, field: Field, value: Any) -> str | None:
        """Return the keyed SHA-256 of a value; equal values have equal hashes in every file and release."""
        if value == "" or value != value:
            return None
        text = value if field.type == "category" else repr(float(value) + 0.0)  # turns -0.0 into 0.0
        return hmac.digest(self._key, text.encode(), "sha256").hex()
