"""Encodes Parquet files with the standard library and NumPy, since Arrow would add 130 MB to the image.

Version 1 of the format (github.com/apache/parquet-format): one row group, plain values, optional columns, one gzip page
a column. A test reads the files with Arrow and DuckDB.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAGIC = b"PAR1"
MAX_PAGE_BYTES = 2**31 - 2**22  # the format has 32 bits for a size, and gzip may add a little
_GZIP, _PLAIN, _RLE, _UTF8, _MICROS = 2, 0, 3, 0, 10
_BOOLEAN, _INT64, _DOUBLE, _BYTES = 0, 2, 5, 6
# The physical type, and the converted type if there is one.
_KINDS: dict[str, tuple[int, int | None]] = {
    "boolean": (_BOOLEAN, None),
    "integer": (_INT64, None),
    "number": (_DOUBLE, None),
    "text": (_BYTES, _UTF8),
    "time": (_INT64, _MICROS),
}


@dataclass(frozen=True)
class Column:
    """A column and its values; None is null. A `time` is in microseconds since 1970, UTC."""

    name: str
    kind: str
    values: Sequence[Any]


def encode(columns: Sequence[Column]) -> bytes:
    """Return the content of a Parquet file; all columns have the same number of values, at least one.

    Raises:
        ValueError: if a column is too large for one page.
    """
    content = bytearray(_MAGIC)
    chunks = []
    unpacked = 0
    for column in columns:
        page = _page(column)
        if len(page) > MAX_PAGE_BYTES:
            raise ValueError(f"{column.name} has {len(page)} bytes; a column of a file may have {MAX_PAGE_BYTES}")
        packed = gzip.compress(page, 1, mtime=0)
        rows = len(column.values)
        data_page = _fields((1, rows), (2, _PLAIN), (3, _RLE), (4, _RLE))
        header = _fields((1, 0), (2, len(page)), (3, len(packed)), (5, data_page))
        physical, _ = _KINDS[column.kind]
        encodings = _list(_INT, [_zigzag(_PLAIN), _zigzag(_RLE)])
        path = _list(_BINARY, [_text(column.name)])
        metadata = _fields(
            (1, physical),
            (2, encodings),
            (3, path),
            (4, _GZIP),
            (5, Long(rows)),
            (6, Long(len(header) + len(page))),
            (7, Long(len(header) + len(packed))),
            (9, Long(len(content))),
        )
        chunks.append(_fields((2, Long(len(content))), (3, metadata)))
        content += header + packed
        unpacked += len(header) + len(page)
    rows = Long(len(columns[0].values))
    group = _fields((1, _list(_STRUCT, chunks)), (2, Long(unpacked)), (3, rows))
    schema = [_fields((4, _text("schema")), (5, len(columns))), *map(_element, columns)]
    footer = _fields(
        (1, 1), (2, _list(_STRUCT, schema)), (3, rows), (4, _list(_STRUCT, [group])), (6, _text("serving"))
    )
    return bytes(content + footer + struct.pack("<I", len(footer)) + _MAGIC)


def _element(column: Column) -> bytes:
    physical, converted = _KINDS[column.kind]
    optional = 1
    members: list[tuple[int, Any]] = [(1, physical), (3, optional), (4, _text(column.name))]
    return _fields(*members, *([] if converted is None else [(6, converted)]))


def _page(column: Column) -> bytes:
    """Return the definition levels, as one run of bits that are 1 for a value, then the values."""
    is_present = [value is not None for value in column.values]
    bits = np.packbits(np.array(is_present, dtype=bool), bitorder="little").tobytes()
    levels = _varint(len(bits) << 1 | 1) + bits
    values = [value for value in column.values if value is not None]
    return struct.pack("<I", len(levels)) + levels + _plain(column.kind, values)


def _plain(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "text":
        # Texts repeat, so each is encoded once.
        encoded = {text: struct.pack("<I", len(raw := text.encode())) + raw for text in set(values)}
        return b"".join(map(encoded.__getitem__, values))
    if kind == "boolean":
        return np.packbits(np.array(values, dtype=bool), bitorder="little").tobytes()
    return np.array(values, dtype="<f8" if kind == "number" else "<i8").tobytes()


# The part of Thrift's compact protocol that the format's metadata needs.
_INT, _LONG, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


class Long(int):
    """A 64-bit integer of Thrift; a plain int has 32 bits."""


@dataclass(frozen=True)
class _Tagged:
    kind: int
    content: bytes


def _fields(*members: tuple[int, Any]) -> bytes:
    """Encode a struct of pairs of an ascending field number and a value (bytes are a struct)."""
    out = bytearray()
    last = 0
    for number, value in members:
        if isinstance(value, _Tagged):
            kind, content = value.kind, value.content
        elif isinstance(value, bytes):
            kind, content = _STRUCT, value
        else:
            kind, content = (_LONG if isinstance(value, Long) else _INT), _zigzag(value)
        out.append((number - last) << 4 | kind)
        out += content
        last = number
    return bytes(out) + b"\0"


def _text(text: str) -> _Tagged:
    raw = text.encode()
    return _Tagged(_BINARY, _varint(len(raw)) + raw)


def _list(kind: int, items: Sequence[bytes | _Tagged]) -> _Tagged:
    head = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([0xF0 | kind]) + _varint(len(items))
    return _Tagged(_LIST, head + b"".join(item.content if isinstance(item, _Tagged) else item for item in items))


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
