import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from pipelines.model.value_rules import check_batch
from pipelines.predict import score
from pipelines.tables import reader
from tests.engine.predict.conftest import files, read, write

ROOT = Path(__file__).parents[3]
KINDS = ("csv", "parquet")


def replaced(table, name, at, value):
    values = table[name].to_pylist()
    values[at] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize("kind_out", KINDS)
@pytest.mark.parametrize("kind_in", KINDS)
def test_the_scored_table_has_the_columns_of_the_input_and_the_predictions(
    predict, logistic, orders, tmp_path, kind_in, kind_out
):
    source = write(orders, tmp_path / f"in.{kind_in}")
    out = tmp_path / "new folder" / f"out.{kind_out}"
    assert predict(source, out) == 0
    scored = read(out)
    assert scored.column_names == [*orders.column_names, "probability", "decision"]
    expected = logistic.scorer().score(logistic.encoded)
    probabilities = np.array(scored["probability"].to_pylist(), dtype=float)
    np.testing.assert_array_equal(probabilities, expected)
    decided = [value in (True, "true") for value in scored["decision"].to_pylist()]
    assert decided == (expected >= 0.5).tolist()
    assert scored["order_id"].to_pylist() == orders["order_id"].to_pylist()
    assert scored["note"].to_pylist() == orders["note"].to_pylist()
    if kind_in == kind_out == "parquet":
        assert scored.select(orders.column_names).equals(pq.read_table(source))
    assert files(out.parent) == [out.name]


def test_a_regression_gives_a_value(predict, regression, orders, tmp_path):
    assert predict(write(orders, tmp_path / "in.csv"), tmp_path / "out.parquet", model=regression) == 0
    scored = pq.read_table(tmp_path / "out.parquet")
    assert scored.column_names == [*orders.column_names, "value"]
    np.testing.assert_array_equal(scored["value"].to_numpy(), regression.scorer().score(regression.encoded))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_do_not_fit_the_signature_go_to_the_rejects_with_the_reason(predict, orders, tmp_path, capsys, kind):
    broken = replaced(orders, "price", 3, None)
    broken = replaced(broken, "size", 5, "XL")
    broken = replaced(broken, "items", 5, 99)
    broken = replaced(broken, "region", 8, "west side")
    out = tmp_path / f"out.{kind}"
    assert predict(write(broken, tmp_path / f"in.{kind}"), out) == 1
    assert read(out)["order_id"].to_pylist() == [f"{i:04d}" for i in range(400) if i not in (3, 5, 8)]
    rejects = read(tmp_path / f"out.rejects.{kind}")
    assert rejects.column_names == [*orders.column_names, "reason"]
    assert rejects["order_id"].to_pylist() == ["0003", "0005", "0008"]
    assert rejects["reason"].to_pylist() == [
        "price: is missing; expected a number from 0 to 1000",
        "items: expected a whole number from 1 to 50 (got '99'); size: expected one of S, M, L (got 'XL')",
        "region: expected one of north, south",
    ]
    printed = capsys.readouterr()
    assert "397 rows scored" in printed.out
    assert "3 of 400 rows were rejected" in printed.err and f"out.rejects.{kind}" in printed.err.splitlines()[-1]
    assert "west side" not in printed.err + printed.out


def test_rejects_of_an_earlier_run_are_removed(predict, orders, tmp_path):
    broken = replaced(orders, "price", 3, -1.0)
    assert predict(write(broken, tmp_path / "bad.parquet"), tmp_path / "out.csv") == 1
    assert files(tmp_path) == ["bad.parquet", "out.csv", "out.rejects.csv"]
    assert predict(write(orders, tmp_path / "good.parquet"), tmp_path / "out.csv") == 0
    assert files(tmp_path) == ["bad.parquet", "good.parquet", "out.csv"]


def test_fixed_rejects_can_be_scored(predict, orders, tmp_path):
    broken = replaced(orders, "price", 3, -1.0)
    assert predict(write(broken, tmp_path / "in.parquet"), tmp_path / "out.parquet") == 1
    rejects = pq.read_table(tmp_path / "out.rejects.parquet").drop(["reason"])
    fixed = write(replaced(rejects, "price", 0, 5.0), tmp_path / "fixed.parquet")
    assert predict(fixed, tmp_path / "more.parquet") == 0
    assert pq.read_table(tmp_path / "more.parquet").num_rows == 1


@pytest.mark.parametrize("kind_out", KINDS)
@pytest.mark.parametrize("kind_in", KINDS)
def test_a_table_without_rows_gives_one_with_a_header(predict, orders, tmp_path, kind_in, kind_out):
    source = write(orders.slice(0, 0), tmp_path / f"in.{kind_in}")
    assert predict(source, tmp_path / f"out.{kind_out}") == 0
    scored = read(tmp_path / f"out.{kind_out}")
    assert scored.num_rows == 0 and scored.column_names[-2:] == ["probability", "decision"]


def test_an_input_of_rejects_only_gives_an_empty_table(predict, orders, tmp_path):
    all_wrong = orders.set_column(2, "price", pa.array([-1.0] * 400))
    assert predict(write(all_wrong, tmp_path / "in.csv"), tmp_path / "out.csv") == 1
    assert read(tmp_path / "out.csv").num_rows == 0
    assert read(tmp_path / "out.rejects.csv").num_rows == 400


def test_a_csv_may_have_a_byte_order_mark_crlf_missing_values_and_gzip(predict, orders, tmp_path):
    text = io.BytesIO()
    pa.csv.write_csv(orders.drop(["note"]), text)
    plain = text.getvalue().decode()
    assert predict(write(orders, tmp_path / "in.parquet"), tmp_path / "expected.csv") == 0
    expected = read(tmp_path / "expected.csv")["probability"]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(plain.encode()))
    for name in ("a.csv", "b.csv.gz"):
        assert predict(tmp_path / name, tmp_path / "out.csv") == 0
        assert read(tmp_path / "out.csv")["probability"].equals(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_and_a_pattern_are_one_table_in_the_order_of_the_names(predict, orders, tmp_path, kind):
    folder = tmp_path / ".hidden" / "_many"
    (folder / "later").mkdir(parents=True)
    write(orders.slice(0, 100), folder / f"a.{kind}")
    write(orders.slice(100, 250), folder / f"b.{kind}")
    write(orders.slice(350), folder / "later" / f"c.{kind}")
    write(orders.slice(0, 9), folder / f"_unfinished.{kind}")
    (folder / "_SUCCESS").touch()
    assert predict(folder, tmp_path / "all.csv") == 0
    assert read(tmp_path / "all.csv")["order_id"].to_pylist() == orders["order_id"].to_pylist()
    assert predict(f"{folder}/[ab].{kind}", tmp_path / "some.csv") == 0
    assert read(tmp_path / "some.csv").num_rows == 350


def test_files_may_differ_in_columns_that_the_model_does_not_read(predict, orders, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    write(orders.slice(0, 100).drop(["note"]), folder / "a.parquet")
    write(orders.slice(100), folder / "b.parquet")
    assert predict(folder, tmp_path / "out.parquet") == 0
    assert (
        pq.read_table(tmp_path / "out.parquet")["note"].to_pylist() == [None] * 100 + orders["note"][100:].to_pylist()
    )


def test_rows_are_read_scored_and_written_in_batches(predict, orders, tmp_path, monkeypatch):
    assert predict(write(orders, tmp_path / "in.parquet"), tmp_path / "whole.parquet") == 0
    monkeypatch.setattr(reader, "BATCH_ROWS", 32)
    sizes = []

    def record_size(batch, inputs):
        sizes.append(len(batch))
        return check_batch(batch, inputs)

    monkeypatch.setattr(score, "check_batch", record_size)
    for kind in KINDS:
        sizes.clear()
        assert predict(write(orders, tmp_path / f"in.{kind}"), tmp_path / "parts.parquet") == 0
        assert max(sizes) <= 32 and sum(sizes) == 400
        parts, whole = (pq.read_table(tmp_path / name) for name in ("parts.parquet", "whole.parquet"))
        assert parts["probability"].equals(whole["probability"])


@pytest.mark.parametrize("name", ["probability", "decision", "reason"])
def test_an_input_column_with_the_name_of_an_output_is_refused(predict, orders, tmp_path, capsys, name):
    clash = orders.append_column(name, pa.array([1] * 400))
    assert predict(write(clash, tmp_path / "in.parquet"), tmp_path / "out.parquet") == 2
    assert f"column {name}" in capsys.readouterr().err
    assert files(tmp_path) == ["in.parquet"]


def test_a_table_is_not_written_over_itself(predict, orders, tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path)
    path = write(orders, tmp_path / "in.parquet")
    rejects = write(orders, tmp_path / "in.rejects.parquet")
    before = path.read_bytes()
    for source, out in ((path, path), (path, tmp_path / "link" / "in.parquet"), (tmp_path, path), (rejects, path)):
        assert predict(source, out) == 2
        assert "over IN" in capsys.readouterr().err
    assert path.read_bytes() == rejects.read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["price", "gift"])
def test_a_missing_input_column_is_refused(predict, orders, tmp_path, capsys, kind, column):
    assert predict(write(orders.drop([column]), tmp_path / f"in.{kind}"), tmp_path / "out.csv") == 2
    assert f"lacks {column}" in capsys.readouterr().err
    assert files(tmp_path) == [f"in.{kind}"]


def test_an_unreadable_input_is_named_and_keeps_the_last_output(predict, orders, tmp_path, capsys):
    good = write(orders, tmp_path / "good.parquet").read_bytes()
    plain = write(orders, tmp_path / "good.csv").read_bytes()
    names = plain.split(b"\n")[0]
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "folder").mkdir()
    for name, content in {
        "empty.parquet": b"",
        "empty.csv": b"",
        "cut.parquet": good[:-100],
        "holed.parquet": good[:200] + b"\0" * 500 + good[700:],
        "text.parquet": plain,
        "packed.csv": good,
        "ragged.csv": names + b"\n1,2\n",
        "latin.csv": plain.replace(b"web", b"w\xe9b"),
        "twice.csv": names.replace(b"order_id", b"price") + b"\n",
        "notes.txt": b"hello",
        "cut.csv.gz": gzip.compress(plain)[:-50],
        "no.csv.gz": plain,
    }.items():
        (inputs / name).write_bytes(content)
    out = tmp_path / "out.parquet"
    out.write_bytes(b"the last good table")
    for path in [*sorted(inputs.iterdir()), inputs / "missing.csv", inputs / "*.txt", inputs]:
        assert predict(path, out) == 2, path
        printed = capsys.readouterr().err
        assert path.name in printed and len(printed.splitlines()) == 2, printed
    assert out.read_bytes() == b"the last good table"
    assert files(tmp_path) == ["good.csv", "good.parquet", "inputs", "out.parquet"]


def test_an_invalid_name_of_a_table_is_refused(predict, orders, tmp_path, capsys):
    path = write(orders, tmp_path / "in.parquet")
    (tmp_path / "folder.csv").mkdir()
    for source, out in (
        (path, tmp_path / "out.xlsx"),
        (path, tmp_path / "folder.csv"),
        (path, "nosuch://out.csv"),
        ("nosuch://in.csv", tmp_path / "out.csv"),
    ):
        assert predict(source, out) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2
    assert predict(path, tmp_path / "out.csv", "--threads", "-1") == 2


def test_a_column_of_lists_can_be_written_to_parquet_but_not_to_csv(predict, orders, tmp_path, capsys):
    path = write(orders.append_column("tags", pa.array([["a", "b"]] * 400)), tmp_path / "in.parquet")
    assert predict(path, tmp_path / "out.parquet") == 0
    assert pq.read_table(tmp_path / "out.parquet")["tags"][0].as_py() == ["a", "b"]
    assert predict(path, tmp_path / "out.csv") == 2
    assert ".parquet" in capsys.readouterr().err
    assert files(tmp_path) == ["in.parquet", "out.parquet"]


def test_a_model_that_is_damaged_or_without_a_threshold_is_refused(predict, logistic, orders, tmp_path, capsys):
    path = write(orders, tmp_path / "in.parquet")
    (tmp_path / "model.onnx").write_bytes(logistic.model.read_bytes()[:99])
    options = ("--model", str(tmp_path / "model.onnx"), "--signature", str(logistic.signature))
    assert predict(path, tmp_path / "out.csv", *options) == 2
    assert "model.onnx is not a readable model" in capsys.readouterr().err
    (tmp_path / "signature.json").write_text(
        logistic.signature.read_text().replace('"threshold": 0.5', '"threshold": null')
    )
    assert predict(path, tmp_path / "out.csv", "--signature", str(tmp_path / "signature.json")) == 2
    assert "threshold" in capsys.readouterr().err


def test_a_full_disk_keeps_only_the_last_table(predict, orders, tmp_path, capsys, small_disk):
    path = write(orders, tmp_path / "in.parquet")
    for kind in KINDS:
        out = tmp_path / f"out.{kind}"
        out.write_bytes(b"the last good table")
        with small_disk(4096):
            assert predict(path, out) == 3
        assert "disk" in capsys.readouterr().err.splitlines()[-1]
        assert out.read_bytes() == b"the last good table"
    assert files(tmp_path) == ["in.parquet", "out.csv", "out.parquet"]


def test_an_interrupted_run_keeps_only_the_last_table(predict, orders, tmp_path, monkeypatch):
    path = write(replaced(orders, "price", 3, -1.0), tmp_path / "in.parquet")
    (tmp_path / "out.csv").write_bytes(b"the last good table")
    monkeypatch.setattr(reader, "BATCH_ROWS", 100)
    calls = []

    def interrupted(batch, inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return check_batch(batch, inputs)

    monkeypatch.setattr(score, "check_batch", interrupted)
    assert predict(path, tmp_path / "out.csv") == 130
    assert files(tmp_path) == ["in.parquet", "out.csv"]
    assert (tmp_path / "out.csv").read_bytes() == b"the last good table"


def test_help_starts_without_the_heavy_libraries():
    code = (
        "import sys; from pipelines.__main__ import main\n"
        "try: main(['predict', '--help'])\n"
        "except SystemExit: print({'pyarrow', 'onnxruntime', 'fsspec', 'rich', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--signature" in done.stdout and done.stdout.splitlines()[-1] == "set()"


def test_progress_is_for_a_terminal_only(predict, orders, tmp_path, monkeypatch, capsys):
    path = write(orders, tmp_path / "in.parquet")
    assert predict(path, tmp_path / "out.csv") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    for kind in KINDS:
        assert predict(write(orders, tmp_path / f"in.{kind}"), tmp_path / "out.csv") == 0
        assert "rows/s" in capsys.readouterr().err


@pytest.mark.parametrize(("separator", "encoding"), [(";", "cp1252"), (",", "utf-8")])
def test_a_csv_is_read_as_ingest_reads_it_or_as_the_standard(
    predict, orders, tmp_path, monkeypatch, separator, encoding
):
    monkeypatch.chdir(tmp_path)
    ingest = 'ingest: {kind: files, paths: [a.csv], separator: ";", encoding: cp1252}\n'
    (tmp_path / "params.yaml").write_text(ingest, encoding="utf-8")
    notes = pa.array(["Größe, Köln"] * len(orders))
    orders = orders.set_column(orders.column_names.index("note"), "note", notes)
    with io.BytesIO() as written:
        arrow_csv.write_csv(orders, written, arrow_csv.WriteOptions(delimiter=separator))
        (tmp_path / "in.csv").write_bytes(written.getvalue().decode().encode(encoding))
    assert predict("in.csv", tmp_path / "out.csv") == 0
    assert set(read(tmp_path / "out.csv")["note"].to_pylist()) == {"Größe, Köln"}
