"""Reads the rows of a request's body, encoded as the inputs of the graph.

The fast path lets msgspec decode into a type compiled from the signature, which accepts a part of the valid bodies and
no invalid one. The slow path (strict_json.py, encoding.py) reads whatever the fast one does not accept: it accepts the
rest (`3.0` for a boolean's 1, an empty text for null, escapes), or explains each invalid field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from serving import strict_json
from serving.encoding import Encoded, InvalidValueError, encoder, explain, number_range
from serving.errors import MAX_SHOWN, RequestError, invalid_rows
from serving.signature import Field, Signature
from serving.times import to_epoch

Row = list[Encoded]
Columns = list[Sequence[Encoded]]
# The number of a row, the row, and its fields with an invalid value and its names that are no field.
_InvalidRow = tuple[int | UnsetType, dict[str, Any], list[Field | str]]
_NAN = float("nan")
_FAST_PATH_ERRORS = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)


class RowReader:
    """Reads the rows of one signature."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.fields = signature.inputs
        self._max_rows = max_rows
        self._names = frozenset(field.name for field in self.fields)
        self._encoders: list[tuple[Field, Callable[[Any], Encoded]]] = [(item, encoder(item)) for item in self.fields]
        row_type = _row_type(self.fields)
        self._decode_row: Callable[[bytes], Any] = msgspec.json.Decoder(row_type).decode
        batch_type = Annotated[list[row_type], Meta(max_length=max_rows)]  # type: ignore[valid-type]
        self._decode_batch: Callable[[bytes], Any] = msgspec.json.Decoder(batch_type).decode
        self._times = [i for i, item in enumerate(self.fields) if item.type == "timestamp"]
        self._nullable = [(i, "" if item.is_text else _NAN) for i, item in enumerate(self.fields) if item.nullable]
        self._texts = sum(item.is_text for item in self.fields)
        self._nullable_texts = frozenset(i for i, item in enumerate(self.fields) if item.nullable and item.is_text)

    def read_row(self, raw: bytes) -> Row:
        """Read a body that is an object.

        Raises:
            RequestError: 400 or 422.
        """
        try:
            values = list(msgspec.structs.astuple(self._decode_row(raw)))
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
            if _has_unique_keys(raw, len(values) - absent + texts):
                return values
        except _FAST_PATH_ERRORS:
            pass
        return self._read_row_slowly(strict_json.loads(raw))

    def read_batch(self, raw: bytes) -> tuple[int, Columns]:
        """Read a body that is an array of objects; return the number of rows and the columns.

        Raises:
            RequestError: 400 or 422.
        """
        try:
            rows = self._decode_batch(raw)
            if not rows:
                return 0, []
            columns: list[Any] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
            strings = (len(columns) + self._texts) * len(rows)
            for i, missing in self._nullable:
                column = columns[i]
                absent: int = column.count(UNSET)
                if absent or None in column:
                    columns[i] = [missing if value is None or value is UNSET else value for value in column]
                    strings -= absent
                    if i in self._nullable_texts:
                        strings -= absent + column.count(None)
            for i in self._times:
                strings += sum(type(value) is str for value in columns[i])
                columns[i] = [to_epoch(value) for value in columns[i]]
            if _has_unique_keys(raw, strings):
                return len(rows), columns
        except _FAST_PATH_ERRORS:
            pass
        return self._read_batch_slowly(strict_json.loads(raw))

    def _read_row_slowly(self, row: Any) -> Row:
        (values,) = self._encode_rows([(UNSET, row)])
        return values

    def _read_batch_slowly(self, rows: Any) -> tuple[int, Columns]:
        if not isinstance(rows, list):
            raise RequestError(422, "the body must be an array of rows")
        if len(rows) > self._max_rows:
            raise RequestError(422, f"the body has {len(rows)} rows; a batch may have {self._max_rows}")
        return len(rows), list(zip(*self._encode_rows(enumerate(rows)), strict=True))

    def _encode_rows(self, numbered_rows: Iterable[tuple[int | UnsetType, Any]]) -> list[Row]:
        invalid: list[_InvalidRow] = []
        encoded = [self._encode_row(row, number, invalid) for number, row in numbered_rows]
        if invalid:
            explained = (explain(field, row, number) for number, row, errors in invalid for field in errors)
            raise invalid_rows(list(islice(explained, MAX_SHOWN)), sum(len(errors) for _, _, errors in invalid))
        return encoded

    def _encode_row(self, row: Any, number: int | UnsetType, invalid: list[_InvalidRow]) -> Row:
        if not isinstance(row, dict):
            place = "the body" if number is UNSET else f"row {number}"
            raise RequestError(422, f"{place} must be an object of fields")
        values: Row = []
        errors: list[Field | str] = []
        for field, encode in self._encoders:
            try:
                values.append(encode(row.get(field.name)))
            except InvalidValueError:
                errors.append(field)
        if not row.keys() <= self._names:
            errors += [name for name in row if name not in self._names]
        if errors:
            invalid.append((number, row, errors))
        return values


def _has_unique_keys(raw: bytes, strings: int) -> bool:
    """Return whether the objects of a decoded document have no key twice; decoders keep the last one.

    `strings` counts the keys and texts that were decoded. Each has two quotes in the document, so a key that came twice
    leaves quotes over. With escapes, quotes cannot be counted.
    """
    return raw.count(b'"') == 2 * strings and b"\\" not in raw


def _row_type(fields: Sequence[Field]) -> type[msgspec.Struct]:
    """Return a struct with a member f0, f1, ... for each field, which is read from the field's own name."""
    members: list[Any] = []
    for i, field in enumerate(fields):
        if field.nullable:
            members.append((f"f{i}", _value_type(field) | None | UnsetType, UNSET))
        else:
            members.append((f"f{i}", _value_type(field)))
    rename = {f"f{i}": field.name for i, field in enumerate(fields)}
    return msgspec.defstruct("Row", members, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)


def _value_type(field: Field) -> Any:
    if field.type in ("number", "integer"):
        minimum, maximum = number_range(field)
        return Annotated[float, Meta(ge=minimum, le=maximum, multiple_of=1 if field.type == "integer" else None)]
    if field.type == "boolean":
        return bool
    if field.type == "timestamp":
        return str | int | float
    if field.allowed is not None:
        return Literal[field.allowed]
    return Annotated[str, Meta(pattern=r"\A[^\0]+\Z")]
