"""Tables as people and their programs write them: settings of `ingest` read them, and errors name those settings."""

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files, Sql
from pipelines.config.params import parse
from pipelines.config.table_schema import Column, Table
from pipelines.ingest import sources
from tests.engine.fixtures_repo import PARAMS

TABLE = Table(
    key="id",
    target="paid",
    label_time="paid_on",
    columns={
        "id": Column(type="identifier"),
        "größe": Column(type="number", nullable=True),
        "on": Column(type="timestamp"),
        "town": Column(type="category", nullable=True),
        "paid": Column(type="integer"),
        "paid_on": Column(type="timestamp", nullable=True),
    },
)
LINES = [
    "id;größe;on;town;paid;paid_on",
    "a;1,5;3.4.2025 08:30;Köln;1;",
    "b;?;14.4.2025 9:05;?;0;",
    "c; 2 ;1.1.2025 0:00;NA;0;",
]
SETTINGS: dict[str, Any] = {
    "separator": ";",
    "encoding": "cp1252",
    "decimal": ",",
    "dates": {"on": "%d.%m.%Y %H:%M"},
    "missing": ("?",),
}


def read(folder: Path, lines: list[str], table: Table = TABLE, written: str = "cp1252", **settings: Any) -> pa.Table:
    (folder / "a.csv").write_bytes("\n".join(lines).encode(written))
    rows = sources.read_rows(Files(kind="files", paths=("a.csv",), **settings), table, folder, lambda _: None)
    return pa.Table.from_batches([batch for part in rows.parts for batch in part.to_batches()], rows.schema)


def test_a_file_as_a_german_office_writes_it(tmp_path):
    rows = read(tmp_path, LINES, **SETTINGS)
    assert rows["größe"].to_pylist() == [1.5, None, 2.0]
    assert [str(moment) for moment in rows["on"].to_pylist()] == [
        "2025-04-03 08:30:00", "2025-04-14 09:05:00", "2025-01-01 00:00:00"
    ]  # fmt: skip
    assert rows["town"].to_pylist() == ["Köln", None, "NA"]  # NA is a word like others in a category


def test_utf16(tmp_path):
    assert len(read(tmp_path, LINES, written="utf-16", **{**SETTINGS, "encoding": "utf-16"})) == 3


def test_a_day_that_does_not_exist_and_a_year_of_two_digits_are_no_times(tmp_path):
    for day in ("31.2.2025 1:00", "3.4.25 1:00"):
        rows = read(tmp_path, [LINES[0], f"a;1;{day};x;0;"], **SETTINGS)
        assert rows["on"].to_pylist() == [day]


def test_a_point_among_decimal_commas_is_not_lost(tmp_path):
    assert read(tmp_path, [LINES[0], "a;1.234,5;1.1.2025 0:00;x;0;"], **SETTINGS)["größe"].to_pylist() == ["1.234,5"]


def test_a_column_can_be_left_out(tmp_path):
    assert "town" not in read(tmp_path, LINES, **SETTINGS, drop=("town",)).column_names
    with pytest.raises(InputError, match="no column city"):
        read(tmp_path, LINES, **SETTINGS, drop=("city",))


def test_another_encoding_and_separator_are_named(tmp_path):
    with pytest.raises(InputError) as error:
        read(tmp_path, LINES, **{**SETTINGS, "encoding": "utf-8"})
    assert "ingest.encoding" in error.value.remedy
    for lines in (LINES, ["id;town", "a;x"]):
        with pytest.raises(InputError) as error:
            read(tmp_path, lines, **{**SETTINGS, "separator": ",", "decimal": "."})
        assert "ingest.separator" in error.value.remedy


MADE = TABLE.model_copy(update={"key": "made", "columns": {"made": Column(type="identifier"), **TABLE.columns}})


def made_keys(folder: Path, *lines: str, kind: str = "hash") -> list[str]:
    header = "größe;on;town;paid;paid_on"
    table = MADE.model_copy(update={"columns": {k: v for k, v in MADE.columns.items() if k != "id"}})
    return read(folder, [header, *lines], table, **SETTINGS, make_key=kind)["made"].to_pylist()


def test_a_made_key_follows_the_content_and_not_the_label_or_the_order(tmp_path):
    first, second = "1;1.1.2025 0:00;x;0;", "2;1.1.2025 0:00;x;0;"
    a, b, repeated = made_keys(tmp_path, first, second, first)
    assert len({a, b, repeated}) == 3 and repeated.split("-") == [a.split("-")[0], "1"]
    assert made_keys(tmp_path, second, first) == [b, a]
    assert made_keys(tmp_path, "1;1.1.2025 0:00;x;1;2.1.2025 0:00") == [a]


def test_the_number_of_a_row_goes_on_in_the_next_file(tmp_path):
    line = "1;1.1.2025 0:00;x;0;"
    assert made_keys(tmp_path, line, line, kind="row_number") == ["1", "2"]
    (tmp_path / "b.csv").write_text(f"größe;on;town;paid;paid_on\n{line}\n", encoding="cp1252")
    spec = Files(kind="files", paths=("a.csv", "b.csv"), **SETTINGS, make_key="row_number")
    rows = sources.read_rows(spec, MADE, tmp_path, lambda _: None)
    assert [key for part in rows.parts for key in part["made"].to_pylist()] == ["1", "2", "3"]


def test_a_key_that_is_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match="make_key"):
        read(tmp_path, LINES, **SETTINGS, make_key="hash")


def test_rows_of_a_query(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE bills (id, größe, day, town, paid)")
        rows = [("a", 1.5, "2025-04-03", "Köln", 1), ("b", None, "2025-04-04", None, 0)]
        database.executemany("INSERT INTO bills VALUES (?, ?, ?, ?, ?)", rows)
    database.close()
    spec = Sql(kind="sql", url="sqlite:///shop.db", query='SELECT id, größe, day AS "on", town, paid FROM bills')
    read_back = sources.read_rows(spec, TABLE, tmp_path, lambda _: None)
    (part,) = read_back.parts
    assert part["größe"].to_pylist() == [1.5, None] and part["paid"].to_pylist() == [1, 0]
    for query in ("SELECT nothing FROM bills", "DELETE FROM bills", "SELECT id, id FROM bills"):
        with pytest.raises(InputError):
            sources.read_rows(spec.model_copy(update={"query": query}), TABLE, tmp_path, lambda _: None)
    with pytest.raises(InputError, match="no such file"):
        sources.read_rows(spec.model_copy(update={"url": "sqlite:///no.db"}), TABLE, tmp_path, lambda _: None)


@pytest.mark.parametrize("url", ["postgresql://ann:hunter2@db/shop", "postgresql://db/shop?password=hunter2"])
def test_a_password_in_params_yaml_is_refused_and_not_printed(url):
    import yaml

    document = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    document["ingest"] = {"kind": "sql", "url": url, "query": "SELECT 1"}
    with pytest.raises(InputError, match="PGPASSWORD") as error:
        parse(yaml.safe_dump(document))
    assert "hunter2" not in str(error.value)
