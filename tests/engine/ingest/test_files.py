import gzip

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import s3fs

from pipelines.cli.errors import InputError, Unreachable
from pipelines.config.ingest import Files
from pipelines.ingest.sources import read_rows
from tests.engine.fixtures_dvc import payments_table


@pytest.fixture(scope="module")
def payments():
    return payments_table(400)


def read(folder, table, *paths, rename=None):
    printed: list[str] = []
    spec = Files(kind="files", paths=paths, rename=rename or {})
    rows = read_rows(spec, table, folder, printed.append)
    assert printed == [f"reading {', '.join(paths)}"]
    parts = list(rows.parts)
    assert all(part.schema == rows.schema for part in parts)
    return pa.concat_tables(parts)


def test_parquet_and_csv_give_the_same_rows(tmp_path, payments, params):
    pq.write_table(payments, tmp_path / "a.parquet")
    pacsv.write_csv(payments, tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    for name in ("a.parquet", "a.csv", "a.csv.gz"):
        assert read(tmp_path, params.table, name).equals(payments), name


def test_wildcards_and_several_paths_are_read_once_each_in_order(tmp_path, payments, params):
    for i in range(4):
        pq.write_table(payments.slice(i * 100, 100), tmp_path / f"part-{i}.parquet")
    assert read(tmp_path, params.table, "part-*.parquet", "part-0.parquet").equals(payments)
    assert read(tmp_path, params.table, f"file://{tmp_path}/part-*.parquet").equals(payments)


def test_a_folder_is_read_with_its_subfolders_but_without_hidden_files(tmp_path, payments, params):
    (tmp_path / "many" / "later").mkdir(parents=True)
    pq.write_table(payments.slice(0, 100), tmp_path / "many" / "a.parquet")
    pacsv.write_csv(payments.slice(100, 200), tmp_path / "many" / "b.csv")
    pq.write_table(payments.slice(300), tmp_path / "many" / "later" / "c.parquet")
    pq.write_table(payments, tmp_path / "many" / "_unfinished.parquet")
    (tmp_path / "many" / "_SUCCESS").touch()
    assert read(tmp_path, params.table, "many").equals(payments)


def test_a_source_column_gets_the_name_of_the_schema(tmp_path, payments, params):
    renamed = payments.rename_columns({"amount": "betrag"})
    pq.write_table(renamed, tmp_path / "a.parquet")
    assert read(tmp_path, params.table, "a.parquet", rename={"betrag": "amount"}).equals(payments)


def test_a_column_that_cannot_be_cast_keeps_its_type(tmp_path, payments, params):
    changed = payments.set_column(3, "amount", pa.array(["12,50"] * 400))
    pq.write_table(changed, tmp_path / "a.parquet")
    read_back = read(tmp_path, params.table, "a.parquet")
    assert read_back["amount"].to_pylist() == ["12,50"] * 400
    assert read_back["minutes_since_last"].type == pa.int64()


def test_one_file_that_cannot_be_cast_decides_the_type_of_all(tmp_path, payments, params):
    pq.write_table(payments.slice(0, 200), tmp_path / "a.parquet")
    pq.write_table(payments.slice(200).set_column(3, "amount", pa.array(["much"] * 200)), tmp_path / "b.parquet")
    both = read(tmp_path, params.table, "*.parquet")["amount"]
    assert both.type == pa.string() and both[300].as_py() == "much"
    assert float(both[0].as_py()) == payments["amount"][0].as_py()


def test_unknown_columns_are_kept_as_the_last_ones(tmp_path, payments, params):
    pq.write_table(payments.add_column(0, "extra", pa.array(range(400))), tmp_path / "a.parquet")
    read_back = read(tmp_path, params.table, "a.parquet")
    assert read_back.column_names == [*payments.column_names, "extra"]
    assert read_back["extra"].type == pa.int64()


def test_a_missing_column_is_left_to_validation(tmp_path, payments, params):
    pq.write_table(payments.drop_columns(["channel"]), tmp_path / "a.parquet")
    assert "channel" not in read(tmp_path, params.table, "a.parquet").column_names


def test_a_column_that_some_files_lack_is_null_there(tmp_path, payments, params):
    pq.write_table(payments.slice(0, 200).drop_columns(["channel"]), tmp_path / "a.parquet")
    pq.write_table(payments.slice(200), tmp_path / "b.parquet")
    assert read(tmp_path, params.table, "*.parquet")["channel"].null_count == 200


def test_missing_values_of_a_csv_are_null_and_the_country_na_is_kept(tmp_path, params):
    (tmp_path / "a.csv").write_text("card_country,amount\nNA,NA\n,\nDE,1.5\n", encoding="utf-8")
    read_back = read(tmp_path, params.table, "a.csv")
    assert read_back["card_country"].to_pylist() == ["NA", None, "DE"]
    assert read_back["amount"].to_pylist() == [None, None, 1.5]


def test_a_byte_order_mark_and_quoted_line_breaks_are_read(tmp_path, params):
    # With the mark in its name, the first column would not be in the schema, and 007 would become 7.
    for i, key in enumerate(("a\nb", "007")):
        (tmp_path / f"{i}.csv").write_text(f'\ufeffpayment_id,amount\n"{key}",1\n', encoding="utf-8")
        assert read(tmp_path, params.table, f"{i}.csv").to_pylist() == [{"payment_id": key, "amount": 1.0}]


def write_damaged(folder, payments, damage):
    """Write a damaged file; return its name."""
    pq.write_table(payments, folder / "good.parquet")
    good = (folder / "good.parquet").read_bytes()
    pacsv.write_csv(payments, folder / "good.csv")
    text = (folder / "good.csv").read_bytes()
    name, content = {
        "empty parquet": ("bad.parquet", b""),
        "empty csv": ("bad.csv", b""),
        "blank csv": ("bad.csv", b"\n"),
        "csv without rows": ("bad.csv", text.split(b"\n")[0] + b"\n"),
        "truncated parquet": ("bad.parquet", good[: len(good) // 2]),
        "parquet with a hole": ("bad.parquet", good[:200] + b"\xff" * 2000 + good[2200:]),
        "truncated csv": ("bad.csv", text[: text.rindex(b",", 0, -200)]),
        "truncated gzip": ("bad.csv.gz", gzip.compress(text)[:-500]),
        "csv named parquet": ("bad.parquet", text),
        "parquet named csv": ("bad.csv", good),
        "no gzip": ("bad.csv.gz", text),
        "not utf-8": ("bad.csv", b"payment_id,amount\n\xff\xfe,1\n"),
        "header twice": ("bad.csv", b"payment_id,amount,amount\na,1,2\n"),
        "another kind": ("bad.xlsx", b"PK"),
    }[damage]
    (folder / name).write_bytes(content)
    return name


DAMAGES = [
    "empty parquet", "empty csv", "blank csv", "csv without rows", "truncated parquet", "parquet with a hole",
    "truncated csv", "truncated gzip", "csv named parquet", "parquet named csv", "no gzip", "not utf-8",
    "header twice", "another kind",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(tmp_path, payments, params, damage):
    name = write_damaged(tmp_path, payments, damage)
    with pytest.raises(InputError, match=name) as caught:
        read(tmp_path, params.table, name)
    assert caught.value.remedy


@pytest.mark.parametrize("path", ["nowhere.parquet", "no-*.csv", "."])
def test_a_missing_file_is_named(tmp_path, params, path):
    with pytest.raises(InputError, match="no such file|no CSV or Parquet file"):
        read(tmp_path, params.table, path)


def test_an_unknown_protocol_is_wrong_configuration(tmp_path, params):
    with pytest.raises(InputError, match=r"ingest\.paths"):
        read(tmp_path, params.table, "nosuch://bucket/a.csv")


def test_a_server_that_does_not_respond_is_unreachable(tmp_path, params, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()  # whose members were made with another environment
    for path in ("s3://bucket/a.csv", "s3://bucket/*.csv", "http://127.0.0.1:9/a.csv"):
        with pytest.raises(Unreachable, match="cannot be reached"):
            read(tmp_path, params.table, path)


def test_a_rename_of_a_missing_column_is_refused(tmp_path, payments, params):
    pq.write_table(payments, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet has no column betrag"):
        read(tmp_path, params.table, "a.parquet", rename={"betrag": "amount"})


def test_a_rename_to_an_existing_column_is_refused(tmp_path, payments, params):
    pq.write_table(payments, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="amount twice"):
        read(tmp_path, params.table, "a.parquet", rename={"usual_amount": "amount"})


def test_a_column_with_incompatible_types_is_refused_with_the_file(tmp_path, payments, params):
    pq.write_table(payments.append_column("extra", pa.array([[1]] * 400)), tmp_path / "a.parquet")
    pq.write_table(payments.append_column("extra", pa.array(["x"] * 400)), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: column extra"):
        read(tmp_path, params.table, "*.parquet")
