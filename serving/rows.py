"""Reads the rows of a request's body, encoded as the inputs of the graph.

msgspec decodes into a type compiled from the signature, which accepts exactly the valid values. Only a small body that
it refuses is decoded again, to name each invalid field: as Python objects a body takes ten times its size.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from serving.errors import MAX_COUNTED, MAX_SHOWN, RequestError, invalid_rows
from serving.fields import explain, is_valid, value_type
from serving.limits import ROW_BYTES
from serving.signature import Field, Signature
from serving.times import to_epoch

Encoded = float | int | str
Row = list[Encoded]
Columns = list[Sequence[Encoded]]
_Number = int | UnsetType  # of a row in a batch
_NAN = float("nan")
_enum_value = re.compile("^(Invalid enum value) '.*'", re.DOTALL).sub


class _AnyRow(msgspec.Struct, gc=False):
    """An object whose fields are skipped."""


class _RepeatedKeyError(ValueError):
    pass


class RowReader:
    """Reads the rows of one signature."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.fields = signature.inputs
        self._max_rows = max_rows
        self._names = frozenset(field.name for field in self.fields)
        row_type = _row_type(self.fields)
        self._decode_row: Callable[[bytes], Any] = msgspec.json.Decoder(row_type).decode
        self._decode_batch: Callable[[bytes], Any] = msgspec.json.Decoder(list[row_type]).decode  # type: ignore[valid-type]
        self._decode_any_rows: Callable[[bytes], Any] = msgspec.json.Decoder(list[_AnyRow]).decode
        self._may_be_empty = all(field.nullable for field in self.fields)
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
            return self._read_row(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._refusal(raw, error, lambda row: self._invalid_values(row)) from None

    def read_batch(self, raw: bytes) -> tuple[int, Columns]:
        """Read a body that is an array of objects; return the number of rows and the columns.

        Raises:
            RequestError: 400 or 422.
        """
        try:
            return self._read_batch(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._refusal(raw, error, self._invalid_batch) from None

    def _read_row(self, raw: bytes) -> Row:
        values = list(msgspec.structs.astuple(self._decode_row(raw)))
        texts, absent = self._texts, 0
        for i, missing in self._nullable:
            value = values[i]
            if value is None or value is UNSET or value == "":
                absent += value is UNSET
                texts += (value == "") - (i in self._nullable_texts)
                values[i] = missing
        for i in self._times:
            texts += type(values[i]) is str
            values[i] = to_epoch(values[i])
        _check_keys(raw, len(values) - absent + texts)
        return values

    def _read_batch(self, raw: bytes) -> tuple[int, Columns]:
        # Each row has a brace. Where rows may be empty, millions of them would be decoded before they are counted.
        is_large = self._may_be_empty and raw.count(b"{") > self._max_rows
        if is_large and (count := len(self._decode_any_rows(raw))) > self._max_rows:
            raise self._too_many_rows(count)
        rows = self._decode_batch(raw)
        if len(rows) > self._max_rows:
            raise self._too_many_rows(len(rows))
        if not rows:
            return 0, []
        columns: list[Any] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        strings = (len(columns) + self._texts) * len(rows)
        for i, missing in self._nullable:
            column = columns[i]
            absent, null, empty = column.count(UNSET), column.count(None), column.count("")
            if absent or null or empty:
                columns[i] = [missing if value is None or value is UNSET or value == "" else value for value in column]
                strings += empty - absent
                if i in self._nullable_texts:
                    strings -= absent + null + empty
        for i in self._times:
            strings += sum(type(value) is str for value in columns[i])
            columns[i] = self._to_epochs(self.fields[i], columns[i])
        _check_keys(raw, strings)
        return len(rows), columns

    def _to_epochs(self, field: Field, column: Sequence[Any]) -> list[int]:
        try:
            return [to_epoch(value) for value in column]
        except ValueError:
            invalid = [(row, value) for row, value in enumerate(column) if not is_valid(field, value)]
            errors = [explain(field, {field.name: value}, row) for row, value in invalid[:MAX_SHOWN]]
            raise invalid_rows(errors, len(invalid)) from None

    def _too_many_rows(self, count: int) -> RequestError:
        return RequestError(422, f"the body has {count} rows; a batch may have {self._max_rows}")

    def _refusal(
        self, raw: bytes, error: Exception, invalid: Callable[[Any], Iterator[tuple[Field | str, Any, _Number]]]
    ) -> RequestError:
        """Return why a body is refused."""
        if isinstance(error, _RepeatedKeyError):
            return RequestError(400, "an object of the body has a key twice")
        if len(raw) <= ROW_BYTES:
            try:
                errors = list(islice(invalid(msgspec.json.decode(raw)), MAX_COUNTED))
            except (msgspec.MsgspecError, ValueError, RecursionError) as other:
                error = error if isinstance(other, msgspec.ValidationError) else other
            else:
                if errors:
                    return invalid_rows([explain(*item) for item in errors[:MAX_SHOWN]], len(errors))
        if isinstance(error, RecursionError):
            return RequestError(400, "the body is nested too deeply")
        if isinstance(error, UnicodeDecodeError):
            return RequestError(400, "the body is not UTF-8")
        if isinstance(error, msgspec.ValidationError):
            return RequestError(422, _enum_value(r"\1", str(error))[:300])  # a value may be sensitive
        return RequestError(400, f"the body is not JSON: {error}"[:300])

    def _invalid_batch(self, rows: Any) -> Iterator[tuple[Field | str, Any, _Number]]:
        if not isinstance(rows, list):
            raise RequestError(422, "the body must be an array of rows")
        if len(rows) > self._max_rows:
            raise self._too_many_rows(len(rows))
        for number, row in enumerate(rows):
            yield from self._invalid_values(row, number)

    def _invalid_values(self, row: Any, number: _Number = UNSET) -> Iterator[tuple[Field | str, Any, _Number]]:
        """Yield the fields with an invalid value, and the names that are no field."""
        if not isinstance(row, dict):
            place = "the body" if number is UNSET else f"row {number}"
            raise RequestError(422, f"{place} must be an object of fields")
        yield from ((field, row, number) for field in self.fields if not is_valid(field, row.get(field.name)))
        yield from ((name, row, number) for name in row if name not in self._names)


def _check_keys(raw: bytes, strings: int) -> None:
    """Check that no object of a decoded document has a key twice; decoders keep the last one.

    `strings` counts the keys and texts that were decoded. Each has two quotes in the document besides escaped ones, so
    a key that came twice leaves quotes over.
    """
    if b"\\" in raw:
        raw = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    if raw.count(b'"') != 2 * strings:
        raise _RepeatedKeyError


def _row_type(fields: Sequence[Field]) -> type[msgspec.Struct]:
    """Return a struct with a member f0, f1, ... for each field, which is read from the field's own name."""
    members: list[Any] = []
    for i, field in enumerate(fields):
        members.append(
            (f"f{i}", value_type(field) | UnsetType, UNSET) if field.nullable else (f"f{i}", value_type(field))
        )
    rename = {f"f{i}": field.name for i, field in enumerate(fields)}
    return msgspec.defstruct("Row", members, rename=rename, forbid_unknown_fields=True, kw_only=True, gc=False)
