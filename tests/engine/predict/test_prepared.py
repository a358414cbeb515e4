"""Tables without the prepared columns that the model reads: features/prepare.py makes them."""

import json
import textwrap
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipelines.tables import reader
from tests.engine.fixtures_model import SMALL
from tests.engine.predict.conftest import read, write

WINDOW = """
frame['items'] = frame.groupby('region').cumcount() + 1
return frame
"""


@pytest.fixture
def model(logistic, tmp_path, monkeypatch):
    """A work tree whose features/prepare.py makes `items`, which the model reads."""
    monkeypatch.chdir(tmp_path)
    document = json.loads(logistic.signature.read_text())
    for item in document["inputs"]:
        item |= {"prepared": True} if item["name"] == "items" else {}
    Path("signature.json").write_text(json.dumps(document))
    params = yaml.safe_load(SMALL)
    params["schema"]["columns"]["items"] = {"type": "integer", "min": 1, "max": 50, "nullable": True, "prepared": True}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    function(WINDOW)
    return replace(logistic, signature=tmp_path / "signature.json")


def function(body, before=""):
    Path("features").mkdir(exist_ok=True)
    Path("features/prepare.py").write_text(f"{before}\ndef prepare(frame):\n{textwrap.indent(body, '    ')}\n")


@pytest.fixture
def raw(orders):
    """40 orders without `items`, from the newest to the oldest, of the region north."""
    times = [datetime(2026, 3, 1) - timedelta(hours=i) for i in range(40)]
    some = orders.slice(0, 40).drop(["items"])
    some = some.set_column(1, "ordered_at", pa.array(times, pa.timestamp("ms")))
    return some.set_column(some.column_names.index("region"), "region", pa.array(["north"] * 40))


def score(predict, model, table, out="out.parquet", *options):
    source = write(table, Path("in.csv" if out.endswith(".csv") else "in.parquet"))
    code = predict(source, Path(out), "--signature", str(model.signature), *options, model=model)
    return code, read(Path(out)) if Path(out).exists() else None


@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
def test_a_column_that_the_table_lacks_is_made_in_order_of_time(predict, model, raw, out):
    code, scored = score(predict, model, raw, out)
    assert code == 0
    assert scored.column_names == [*raw.column_names, "items", "probability", "decision"]
    assert [int(value) for value in scored["items"].to_pylist()] == list(range(40, 0, -1))
    assert scored["order_id"].to_pylist() == raw["order_id"].to_pylist()
    again = write(scored.drop(["probability", "decision"]), Path("with.parquet"))
    assert predict(again, Path("again.parquet"), "--signature", str(model.signature), model=model) == 0
    np.testing.assert_array_equal(
        read(Path("again.parquet"))["probability"].to_numpy(),
        [float(value) for value in scored["probability"].to_pylist()],
    )


def test_a_table_with_the_column_is_scored_as_it_is(predict, model, orders):
    Path("features/prepare.py").unlink()
    code, scored = score(predict, model, orders)
    assert code == 0 and scored["items"].to_pylist() == orders["items"].to_pylist()


def test_earlier_rows_are_given_to_the_function_and_are_not_scored(predict, model, raw, capsys):
    newest, history = raw.slice(0, 10), write(raw.slice(5), Path("history.parquet"))
    assert score(predict, model, newest)[1]["items"].to_pylist() == list(range(10, 0, -1))
    assert "HISTORY names a table of earlier ones" in capsys.readouterr().err
    code, scored = score(predict, model, newest, "out.parquet", "--history", str(history))
    assert code == 0 and scored["items"].to_pylist() == list(range(40, 30, -1))
    assert "HISTORY" not in capsys.readouterr().err


def test_a_row_without_a_value_that_the_schema_demands_is_rejected_and_counts_for_no_other(predict, model, raw):
    regions = ["north", None, *["north"] * 38]
    table = raw.set_column(raw.column_names.index("region"), "region", pa.array(regions))
    prices = ["much" if i == 4 else str(value) for i, value in enumerate(table["price"].to_pylist())]
    code, scored = score(predict, model, table.set_column(2, "price", pa.array(prices)))
    rejected = read(Path("out.rejects.parquet"))
    assert code == 1 and rejected["order_id"].to_pylist() == ["0001", "0004"]
    assert scored["items"].to_pylist() == list(range(38, 0, -1))


def test_a_table_without_a_row_to_prepare_does_not_call_the_function(predict, model, raw):
    function("raise ValueError(len(frame))")
    empty = raw.set_column(raw.column_names.index("region"), "region", pa.nulls(40, pa.string()))
    code, scored = score(predict, model, empty)
    assert (code, len(scored)) == (1, 0)
    assert score(predict, model, raw.slice(0, 0))[0] == 0


def test_a_row_wise_function_runs_on_a_batch_at_a_time(predict, model, raw, monkeypatch):
    monkeypatch.setattr(reader, "BATCH_ROWS", 15)
    body = "with open('seen', 'a') as file:\n    print(len(frame), file=file)\n"
    function(body + "return frame.assign(items=frame.ordered_at.dt.hour + 1)", "ROW_WISE = True")
    code, scored = score(predict, model, raw)
    assert code == 0
    assert scored["items"].to_pylist() == [time.hour + 1 for time in raw["ordered_at"].to_pylist()]
    assert Path("seen").read_text().split() == ["15", "15", "10"]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.drop(["order_id"]), "IN lacks the key order_id"),
        (lambda t: t.set_column(0, "order_id", pa.array(["one"] * 40)), "IN has rows that repeat a order_id"),
        (lambda t: t.drop(["price"]), "lacks price, which the model reads"),
    ],
)
def test_a_table_that_cannot_be_prepared_is_refused(predict, model, raw, capsys, change, message):
    assert score(predict, model, change(raw)) == (2, None)
    assert message in capsys.readouterr().err


def test_a_function_that_cannot_be_used_is_refused(predict, model, raw, capsys):
    function("return frame.assign(items=1).head(3)")
    assert score(predict, model, raw) == (2, None)
    assert "returns 3 of 40 rows by their order_id" in capsys.readouterr().err
    function("return frame.assign(items=frame['turnover'])")
    assert score(predict, model, raw) == (2, None)
    assert "KeyError: 'turnover'" in capsys.readouterr().err


def test_a_model_of_another_params_yaml_is_refused(predict, model, raw, capsys):
    Path("params.yaml").write_text(SMALL)
    assert score(predict, model, raw) == (2, None)
    assert "IN lacks items, which the model reads and params.yaml does not mark as prepared" in capsys.readouterr().err


def test_a_history_that_is_not_read_is_refused(predict, model, orders, raw, capsys):
    history = ("--history", str(write(raw, Path("history.parquet"))))
    assert score(predict, model, orders, "out.parquet", *history)[0] == 2
    function("return frame.assign(items=1)", "ROW_WISE = True")
    assert score(predict, model, raw, "out.parquet", *history)[0] == 2
    assert capsys.readouterr().err.count("HISTORY is not read") == 2
