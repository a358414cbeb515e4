"""Parquet files that are written without Arrow, read with Arrow and DuckDB."""

import io
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import parquet
from serving.parquet import Column, encode
from serving.times import MAX_EPOCH

_MICROS = MAX_EPOCH * 1_000_000
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(),
    "text": st.text(max_size=6) | st.sampled_from(["north", "größe", "\U0001f600", "a\0b"]),
    "time": st.integers(-_MICROS, _MICROS),
}
ARROW = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
}
DUCKDB = {"boolean": "BOOLEAN", "integer": "BIGINT", "number": "DOUBLE", "text": "VARCHAR", "time": "TIMESTAMP"}


@st.composite
def tables(draw: st.DrawFn) -> list[Column]:
    rows = draw(st.integers(1, 40))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=20))

    def values(kind: str) -> st.SearchStrategy[Sequence[Any]]:
        of = VALUES[kind]
        return st.lists(draw(st.sampled_from([of, of | st.none(), st.none()])), min_size=rows, max_size=rows)

    return [Column(f"c{i}", kind, draw(values(kind))) for i, kind in enumerate(kinds)]


def read_table(content):
    return pq.read_table(io.BytesIO(content))


def by_arrow(content):
    columns = []
    for column in read_table(content).columns:
        plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        columns.append(plain.to_pylist())
    return columns


def by_duckdb(content, kinds, path):
    path.write_bytes(content)
    chosen = ", ".join(f"epoch_us(c{i})" if kind == "time" else f"c{i}" for i, kind in enumerate(kinds))
    rows = duckdb.sql(f"SELECT {chosen} FROM read_parquet('{path}')").fetchall()
    return [list(column) for column in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("parquet") / "some.parquet"


@settings(max_examples=80, deadline=None)
@given(tables())
def test_arrow_and_duckdb_read_what_was_written(path, columns):
    content = encode(columns)
    kinds = [column.kind for column in columns]
    # NaN is not equal to itself, but its text is.
    expected = repr([list(column.values) for column in columns])
    assert repr(by_arrow(content)) == expected
    assert repr(by_duckdb(content, kinds, path)) == expected
    assert read_table(content).schema.types == [ARROW[kind] for kind in kinds]


def test_each_kind_has_its_type_in_duckdb(path):
    path.write_bytes(encode([Column(kind, kind, [None]) for kind in DUCKDB]))
    described = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
    assert {row[0]: row[1] for row in described} == DUCKDB


def test_names_of_any_script_are_kept():
    names = ["größe", "a b", 'quo"te', "back\\slash", "\U0001f600", ""]
    assert read_table(encode([Column(name, "number", [1.0]) for name in names])).column_names == names


def test_times_are_in_utc(path):
    path.write_bytes(encode([Column("seen", "time", [1_767_225_599_999_999])]))
    assert str(pq.read_table(path)["seen"][0].as_py()) == "2025-12-31 23:59:59.999999+00:00"
    ((text,),) = duckdb.sql(f"SELECT seen::VARCHAR FROM read_parquet('{path}')").fetchall()
    assert text == "2025-12-31 23:59:59.999999"


@pytest.mark.parametrize("rows", [8, 9, 63, 64, 65, 100_000])
def test_files_of_many_rows_are_whole(path, rows):
    numbers: list[Any] = [i * 0.5 if i % 3 else None for i in range(rows)]
    truths = [i % 5 == 0 for i in range(rows)]
    columns = [Column("c0", "number", numbers), Column("c1", "boolean", truths), Column("c2", "text", ["web"] * rows)]
    content = encode(columns)
    assert by_arrow(content) == by_duckdb(content, ["number", "boolean", "text"], path)
    assert by_arrow(content) == [numbers, truths, ["web"] * rows]


@pytest.mark.parametrize("count", [1, 14, 15, 16, 200])
def test_files_of_many_columns_are_whole(count):
    read = read_table(encode([Column(f"c{i}", "integer", [i]) for i in range(count)]))
    assert read.to_pylist() == [{f"c{i}": i for i in range(count)}]


def test_a_column_beyond_32_bits_is_refused(monkeypatch):
    """The test uses a smaller limit."""
    assert parquet.MAX_PAGE_BYTES + 0.001 * 2**31 < 2**31
    monkeypatch.setattr(parquet, "MAX_PAGE_BYTES", 1_000)
    head = 4 + 2 + 4  # the definition levels, and the length of the text
    assert read_table(encode([Column("a", "text", ["x" * (1_000 - head)])])).num_rows == 1
    with pytest.raises(ValueError, match="^a has 1001 bytes; a column of a file may have 1000$"):
        encode([Column("a", "text", ["x" * (1_001 - head)])])


def test_sizes_in_the_footer_are_those_of_the_pages():
    content = encode([Column("a", "text", ["web"] * 5_000), Column("b", "number", [1.0] * 5_000)])
    meta = pq.read_metadata(io.BytesIO(content))
    group = meta.row_group(0)
    parts = [group.column(i) for i in range(2)]
    assert (meta.num_rows, meta.num_row_groups, group.num_rows, meta.created_by) == (5_000, 1, 5_000, "serving")
    assert {part.compression for part in parts} == {"GZIP"}
    assert parts[0].data_page_offset == 4
    assert parts[1].data_page_offset == 4 + parts[0].total_compressed_size
    assert 4 + sum(part.total_compressed_size for part in parts) + meta.serialized_size + 8 == len(content)
    # The format counts a group before compression.
    assert group.total_byte_size == sum(part.total_uncompressed_size for part in parts) > len(content)
