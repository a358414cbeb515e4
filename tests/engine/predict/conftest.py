"""A table of orders to score, and the verb as the command line calls it."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from pipelines.__main__ import main


@pytest.fixture
def orders(logistic):
    """400 rows that fit the small model, with two columns that it does not read."""
    rows = [{"order_id": f"{i:04d}", **row} for i, row in enumerate(logistic.rows())]
    table = pa.Table.from_pylist(rows)
    table = table.set_column(1, "ordered_at", table["ordered_at"].cast(pa.timestamp("ms")))
    usual = table["usual_price"]
    table = table.set_column(3, "usual_price", pc.if_else(pc.is_nan(usual), None, usual))
    return table.append_column("note", pa.array([f'said "{i}",\nleft' if i % 7 else None for i in range(len(rows))]))


@pytest.fixture
def predict(logistic, tmp_path, monkeypatch):
    """Run the verb in a folder without a params.yaml; the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(source, out, *options, model=logistic):
        return main(["predict", str(source), str(out), "--model", str(model.model), "--threads", "1", *options])

    return run


def write(table, path):
    pq.write_table(table, path) if path.suffix == ".parquet" else arrow_csv.write_csv(table, path)
    return path


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    names = path.read_text().splitlines()[0].replace('"', "").split(",")
    options = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    parsing = arrow_csv.ParseOptions(newlines_in_values=True)
    return arrow_csv.read_csv(path, convert_options=options, parse_options=parsing)


def files(folder):
    return sorted(path.name for path in folder.iterdir())
