"""From the bytes of a request to what the graph takes.

Two ways lead there. The fast one lets msgspec decode into a type compiled from the signature, which accepts a part of
what may be accepted, and nothing else. What it does not accept goes the slow way (strict_json.py and fields.py),
which accepts the rest (`3.0` for a boolean's 1, an empty text for null, escapes) or says field by field what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from serving import strict_json
from serving.errors import SHOWN, Fault, RefusedError, unfit
from serving.fields import Encoded, UnfitError, encoder, fault, limits, shown
from serving.signature import Field, Signature
from serving.times import to_epoch

Row = list[Encoded]
Columns = list[Sequence[Encoded]]
_NAN = float("nan")
_UNKNOWN = "is not a field of this model"
_TOO_FAST = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)


class Rows:
    """The reader of requests for one signature."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.fields = signature.fields
        self._max_rows = max_rows
        self._names = frozenset(field.name for field in self.fields)
        self._encoders: list[tuple[Field, Callable[[Any], Encoded]]] = [(item, encoder(item)) for item in self.fields]
        compiled = _row_type(self.fields)
        self._one: Callable[[bytes], Any] = msgspec.json.Decoder(compiled).decode
        many = Annotated[list[compiled], Meta(max_length=max_rows)]  # type: ignore[valid-type]
        self._many: Callable[[bytes], Any] = msgspec.json.Decoder(many).decode
        self._times = [i for i, item in enumerate(self.fields) if item.type == "timestamp"]
        self._nullable = [(i, "" if item.is_text else _NAN) for i, item in enumerate(self.fields) if item.nullable]
        self._texts = sum(item.is_text for item in self.fields)
        self._nullable_texts = frozenset(i for i, item in enumerate(self.fields) if item.nullable and item.is_text)

    def one(self, raw: bytes) -> Row:
        """One row, of a body that is an object.

        Raises:
            RefusedError: 400 or 422.
        """
        try:
            values = list(msgspec.structs.astuple(self._one(raw)))
            texts, absent = self._texts, 0
            for i, missing in self._nullable:
                value = values[i]
                if value is None or value is UNSET:
                    absent += value is UNSET
                    texts -= i in self._nullable_texts
                    values[i] = missing
            for i in self._times:
                texts += type(values[i]) is str
                values[i] = to_epoch(values[i])
            if _has_each_key_once(raw, len(values) - absent + texts):
                return values
        except _TOO_FAST:
            pass  # the slow way says why, or takes it
        return self._slow_one(strict_json.loads(raw))

    def many(self, raw: bytes) -> tuple[int, Columns]:
        """The number of rows and the columns, of a body that is an array of objects.

        Raises:
            RefusedError: 400 or 422.
        """
        try:
            rows = self._many(raw)
            if not rows:
                return 0, []
            columns: list[Any] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
            tokens = (len(columns) + self._texts) * len(rows)
            for i, missing in self._nullable:
                column = columns[i]
                unset: int = column.count(UNSET)
                if unset or None in column:
                    columns[i] = [missing if value is None or value is UNSET else value for value in column]
                    nothing = unset + column.count(None)
                    tokens -= unset + (nothing if i in self._nullable_texts else 0)
            for i in self._times:
                tokens += sum(type(value) is str for value in columns[i])
                columns[i] = [to_epoch(value) for value in columns[i]]
            if _has_each_key_once(raw, tokens):
                return len(rows), columns
        except _TOO_FAST:
            pass
        return self._slow_many(strict_json.loads(raw))

    def _slow_one(self, row: Any) -> Row:
        faults = _Faults()
        values = self._encode(row, None, faults)
        faults.refuse()
        return values

    def _slow_many(self, rows: Any) -> tuple[int, Columns]:
        if not isinstance(rows, list):
            raise RefusedError(422, "the body must be an array of rows")
        if len(rows) > self._max_rows:
            raise RefusedError(422, f"the body has {len(rows)} rows; at most {self._max_rows} are taken at once")
        faults = _Faults()
        encoded = [self._encode(row, i, faults) for i, row in enumerate(rows)]
        faults.refuse()
        return len(rows), list(zip(*encoded, strict=True))

    def _encode(self, row: Any, number: int | None, faults: _Faults) -> Row:
        if not isinstance(row, dict):
            where = "the body" if number is None else f"row {number}"
            raise RefusedError(422, f"{where} must be an object of fields")
        values: Row = []
        wrong: list[Field] = []
        for field, encode in self._encoders:
            try:
                values.append(encode(row.get(field.name)))
            except UnfitError:
                wrong.append(field)
        if wrong:
            faults.add(len(wrong), number, (fault(field, row.get(field.name)) for field in wrong))
        if not row.keys() <= self._names:
            unknown = (Fault(shown(name)[1:-1], _UNKNOWN) for name in row if name not in self._names)
            faults.add(len(row) - sum(name in row for name in self._names), number, unknown)
        return values


class _Faults:
    """The first faults of a body, and how many it has."""

    def __init__(self) -> None:
        self._first: list[Fault] = []
        self._count = 0

    def add(self, count: int, row: int | None, faults: Iterable[Fault]) -> None:
        """Count faults of a row, and take from them as many as will be named."""
        self._count += count
        self._first += [replace(found, row=row) for found in islice(faults, SHOWN - len(self._first))]

    def refuse(self) -> None:
        """Raise RefusedError where there is a fault."""
        if self._count:
            raise unfit(self._first, self._count)


def _has_each_key_once(raw: bytes, strings: int) -> bool:
    """Whether a decoded document of flat objects had no key twice, of which decoders keep the last.

    Each string, key or value, has two quotes; a key that came twice leaves quotes over. An escape may stand for one.
    """
    return raw.count(b'"') == 2 * strings and b"\\" not in raw


def _row_type(fields: Sequence[Field]) -> type[msgspec.Struct]:
    """A struct with a member f0, f1, ... for each field; it knows the fields by their own names."""
    members: list[Any] = []
    for i, field in enumerate(fields):
        if field.nullable:
            members.append((f"f{i}", _type(field) | None | UnsetType, UNSET))
        else:
            members.append((f"f{i}", _type(field)))
    rename = {f"f{i}": field.name for i, field in enumerate(fields)}
    return msgspec.defstruct("Row", members, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def _type(field: Field) -> Any:
    if field.type in ("number", "integer"):
        low, high = limits(field)
        return Annotated[float, Meta(ge=low, le=high, multiple_of=1 if field.type == "integer" else None)]
    if field.type == "boolean":
        return bool
    if field.type == "timestamp":
        return str | int | float
    if field.allowed is not None:
        return Literal[field.allowed]
    return Annotated[str, Meta(pattern=r"\A[^\0]+\Z")]
