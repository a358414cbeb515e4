import errno
import random
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import Unreachable
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import temporary_folder, write_months
from pipelines.ingest.rows import Rows

COLUMNS = {"key": {"type": "identifier"}, "at": {"type": "timestamp"}, "y": {"type": "integer"}}
TABLE = Table.model_validate({"key": "key", "target": "y", "event_time": "at", "columns": COLUMNS})
TIMELESS = Table.model_validate({"key": "key", "target": "y", "columns": COLUMNS})
TIMES = [datetime(2025, 12, 31, 23, 59, 59), datetime(2026, 1, 1), datetime(2026, 1, 31, 23), datetime(2026, 3, 1)]


def rows(times=TIMES, keys=None):
    keys = keys or [f"k{i}" for i in range(len(times))]
    return pa.table(
        {"key": keys, "at": pa.array(times, pa.timestamp("s")), "y": pa.array(range(len(times)), pa.int64())}
    )


def written(table, folder, schema=TABLE, parts=1):
    folder.mkdir()
    size = max(1, -(-len(table) // parts))
    count = write_months(Rows(table.schema, (table.slice(i, size) for i in range(0, len(table), size))), schema, folder)
    assert count == len(table)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows_go_to_the_month_of_their_event_time(tmp_path):
    assert list(written(rows(), tmp_path / "data")) == ["2025-12.parquet", "2026-01.parquet", "2026-03.parquet"]
    assert pq.read_table(tmp_path / "data" / "2026-01.parquet")["key"].to_pylist() == ["k1", "k2"]


def test_without_event_time_there_is_one_file_in_the_order_of_the_rows(tmp_path):
    shuffled = rows(TIMES[::-1])
    assert list(written(shuffled, tmp_path / "data", TIMELESS)) == ["rows.parquet"]
    assert pq.read_table(tmp_path / "data" / "rows.parquet")["key"].to_pylist() == shuffled["key"].to_pylist()


def test_an_event_time_of_another_type_gives_one_file(tmp_path):
    text = rows().set_column(1, "at", pa.array(["soon"] * 4))
    assert list(written(text, tmp_path / "data")) == ["rows.parquet"]
    assert list(written(rows().drop_columns(["at"]), tmp_path / "other")) == ["rows.parquet"]


def test_rows_without_a_time_are_kept(tmp_path):
    assert list(written(rows([TIMES[0], None]), tmp_path / "data")) == ["2025-12.parquet", "rows.parquet"]


def test_equal_rows_give_equal_bytes_whatever_their_order_and_parts(tmp_path):
    table = rows([TIMES[i % 4] for i in range(200)], [f"k{i:03d}" for i in range(200)])
    first = written(table, tmp_path / "one")
    order = list(range(200))
    random.Random(3).shuffle(order)
    assert written(table.take(order), tmp_path / "two", parts=7) == first


def test_rows_of_equal_time_and_key_keep_their_order(tmp_path):
    written(rows([TIMES[1]] * 2_000, ["twice"] * 2_000), tmp_path / "data", parts=7)
    assert pq.read_table(tmp_path / "data" / "2026-01.parquet")["y"].to_pylist() == list(range(2_000))


def test_files_carry_no_metadata_of_pandas(tmp_path):
    table = rows().replace_schema_metadata({"pandas": "{}"})
    written(table, tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        assert b"pandas" not in (pq.read_metadata(path).metadata or {})
        assert str(pq.read_schema(path).field("at").type).startswith("timestamp")
        assert pq.read_schema(path).field("at").type.tz is None


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    real = pq.ParquetWriter.write_table

    def full(self, table, *args, **kwargs):
        if table["at"][0].as_py() >= TIMES[3]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, table, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(Unreachable, match="No space left") as caught, temporary_folder(tmp_path / "data") as made:
        write_months(Rows(rows().schema, [rows()]), TABLE, made)
    assert "Free disk space" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_no_file(tmp_path):
    def parts():
        yield rows()
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError), temporary_folder(tmp_path / "data") as made:
        write_months(Rows(rows().schema, parts()), TABLE, made)
    assert list(tmp_path.iterdir()) == []


def test_a_renamed_temporary_folder_is_kept(tmp_path):
    with temporary_folder(tmp_path / "data") as made:
        assert made.parent == tmp_path and made.name.startswith("data.") and made.name.endswith(".tmp")
        (made / "x").write_text("x", encoding="utf-8")
        made.rename(tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(Unreachable, match="cannot be written"), temporary_folder(tmp_path / "no" / "data"):
        raise AssertionError("unreachable")
