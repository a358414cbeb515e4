"""The stage `prepare`: which rows it writes, and which functions it refuses."""

import multiprocessing
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.paths import PREPARED
from pipelines.config.read import PATH, read_sections
from pipelines.config.table_schema import TableParams
from pipelines.tables.preparation import FUNCTION, load_preparation
from pipelines.training import preparation_checks, prepare
from tests.engine.training.conftest import orders, small_params

DAYS = [i / 8 for i in range(240)]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the stage on two files, with the body of a function `prepare`."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()

    def run(body: str, before: str = "", table: pa.Table | None = None, **columns: Any) -> pa.Table:
        table = orders(DAYS) if table is None else table
        changes = {"schema": {"columns": columns}}
        document = small_params(**changes).model_dump(mode="json", by_alias=True)
        kept = {"order_id", "ordered_at", "returned", "price", "items", *columns}
        document["schema"]["columns"] = {k: v for k, v in document["schema"]["columns"].items() if k in kept}
        write_text(PATH, yaml.safe_dump(document, sort_keys=False))
        write_text(FUNCTION, f"{before}\ndef prepare(frame):\n{textwrap.indent(body, '    ')}\n")
        half = len(table) // 2
        pq.write_table(table.slice(0, half), "data/2026-01.parquet")
        pq.write_table(table.slice(half), "data/2026-02.parquet")
        prepare.main()
        return pa.concat_tables(pq.read_table(path) for path in sorted(PREPARED.glob("*.parquet")))

    return run


MADE = {"made": {"type": "number", "nullable": True, "prepared": True}}
BEFORE = "frame['made'] = frame.groupby('items').cumcount()\nreturn frame"


def test_the_rows_keep_their_columns_types_and_order_and_get_the_prepared_ones(stage: Any) -> None:
    prepared = stage(BEFORE, **MADE)
    assert prepared.drop(["made"]).equals(orders(DAYS))
    assert prepared["made"].type == pa.float64()
    assert prepared["made"].to_pylist() == [float(i // 3) for i in range(len(DAYS))]


def test_equal_rows_give_equal_bytes(stage: Any) -> None:
    stage(BEFORE, **MADE)
    before = {path.name: path.read_bytes() for path in PREPARED.iterdir()}
    (PREPARED / "left.parquet").touch()  # by a run that was killed
    stage(BEFORE, **MADE)
    assert {path.name: path.read_bytes() for path in PREPARED.iterdir()} == before


def test_without_a_prepared_column_the_files_are_those_of_data(stage: Any) -> None:
    for before in ("", "ROW_WISE = True"):
        stage("return frame", before)
        for path in Path("data").iterdir():
            assert (PREPARED / path.name).read_bytes() == path.read_bytes()


FUTURE = [
    "frame['made'] = frame['price'].mean() + frame.index",  # a mean over all rows
    "frame['made'] = frame.groupby('items').ordered_at.shift(-1).dt.hour",
    "frame['made'] = len(frame)",
    "frame['made'] = frame.groupby('items')['price'].transform('count')",
    "frame['made'] = frame['price'].rolling(5, center=True).count()",
    "frame['made'] = (frame.ordered_at.max() - frame.ordered_at).dt.days",
]


NEXT_ROW = [
    "frame['made'] = frame['price'].bfill()",
    "frame['made'] = frame['price'].interpolate()",
    "soon = frame.groupby('customer').ordered_at.shift(-1) - frame.ordered_at\n"
    "frame['made'] = (soon.dt.total_seconds() < 7_200) * 1.0",
]


@pytest.mark.parametrize("body", NEXT_ROW)
def test_a_function_that_reads_only_the_next_row_of_a_few_rows_is_refused(stage: Any, body: str) -> None:
    days = [i / 8 for i in range(900)]
    customers = [f"c{i}" for i in range(900)]
    for i in range(120, 900, 90):  # a second order an hour later
        days[i], customers[i] = days[i - 1] + 1 / 24, customers[i - 1]
    price: Any = [None if i % 40 == 17 else float(i * 37 % 101) for i in range(900)]
    rows = orders(days, price=price)
    rows = rows.append_column("customer", pa.array(customers))
    columns = {"price": {"nullable": True}, "customer": {"type": "identifier"}, **MADE}
    with pytest.raises(InputError, match="reads the future: the column made differs in"):
        stage(f"{body}\nreturn frame", table=rows, **columns)


KEPT = [
    "global MEAN\nMEAN = frame['price'].mean() if MEAN is None else MEAN\nframe['made'] = frame['price'] / MEAN",
    "frame['made'] = frame['items'].map(kept(frame))",
]


@pytest.mark.parametrize(("before", "message"), [("", "reads the future"), ("ROW_WISE = True", "is not row-wise")])
@pytest.mark.parametrize("body", KEPT)
def test_what_a_function_keeps_from_an_earlier_call_does_not_hide_that_it_reads_the_future(
    stage: Any, body: str, before: str, message: str
) -> None:
    write_text(
        FUNCTION.parent / "means.py",
        "STORE = {}\ndef kept(frame):\n    return STORE.setdefault('means', frame.groupby('items')['price'].mean())\n",
    )
    rows = orders(DAYS, price=[float(i * 37 % 101) for i in range(len(DAYS))])
    with pytest.raises(InputError, match=f"{message}: the column made differs in"):
        stage(f"{body}\nreturn frame", f"from features.means import kept\nMEAN = None\n{before}", rows, **MADE)


OUTSIDE = [
    "import os\nmean = os.environ.setdefault('SHOP_MEAN', str(frame['price'].mean()))",
    "import pandas\npandas.kept = mean = getattr(pandas, 'kept', frame['price'].mean())",
    "from pathlib import Path\nkept = Path('mean.txt')\nkept.exists() or kept.write_text(str(frame['price'].mean()))\n"
    "mean = kept.read_text()",
]


@pytest.mark.parametrize(
    ("before", "message"), [("", "reads the future|not deterministic"), ("ROW_WISE = True", "row-wise")]
)
@pytest.mark.parametrize("body", OUTSIDE)
def test_what_a_function_keeps_outside_its_folder_does_not_hide_it_either(
    stage: Any, monkeypatch: pytest.MonkeyPatch, body: str, before: str, message: str
) -> None:
    monkeypatch.setenv("SHOP_MEAN", "")
    monkeypatch.delenv("SHOP_MEAN")
    monkeypatch.setattr("pandas.kept", None, raising=False)
    monkeypatch.delattr("pandas.kept")
    rows = orders(DAYS, price=[float(i * 37 % 101) for i in range(len(DAYS))])
    with pytest.raises(InputError, match=message):
        stage(f"{body}\nframe['made'] = frame['price'] / float(mean)\nreturn frame", before, rows, **MADE)


def test_a_function_may_start_processes(stage: Any) -> None:
    body = "with Pool(1) as pool:\n    frame['made'] = pool.map(float, frame['items'])\nreturn frame"
    assert len(stage(body, "from multiprocessing import Pool", **MADE)) == len(DAYS)


def test_a_library_that_keeps_threads_from_loading_the_file_does_not_stop_the_checks(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pandas.pool", None, raising=False)
    before = "import pandas\nfrom concurrent.futures import ThreadPoolExecutor\n"
    before += "pandas.pool = pandas.pool or ThreadPoolExecutor(1)\npandas.pool.submit(float).result(timeout=5)"
    assert len(stage("frame['made'] = 1.0\nreturn frame", before, **MADE)) == len(DAYS)


def test_a_function_that_ends_its_process_or_ignores_signals_is_told_and_ended(stage: Any) -> None:
    stage("frame['made'] = 1.0\nreturn frame", **MADE)
    body = "import os, signal\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    len(frame) < 9 or os._exit(1)"
    write_text(FUNCTION, f"def prepare(frame):\n    {body}\n    return frame.assign(made=1.0)\n")
    with preparation_checks.prepared_apart(read_sections(TableParams).table) as run:
        assert len(run(orders(DAYS[:8]))) == 8
    with preparation_checks.prepared_apart(read_sections(TableParams).table) as run:
        for _ in range(2):
            with pytest.raises(InputError, match="ended its process"):
                run(orders(DAYS))


@pytest.mark.parametrize("body", FUTURE)
def test_a_function_that_reads_the_future_is_refused(stage: Any, body: str) -> None:
    rows = orders(DAYS, price=[float(i * 37 % 101) for i in range(len(DAYS))])
    with pytest.raises(InputError, match="reads the future: the column made differs in") as caught:
        stage(f"{body}\nreturn frame", table=rows, **MADE)
    assert "made" in caught.value.remedy and "ordered_at" in caught.value.remedy


def test_a_function_that_fails_on_a_beginning_of_the_rows_is_told_on_which(stage: Any) -> None:
    body = "import pandas as pd\nframe['made'] = pd.get_dummies(frame['price'])[9] * 1.0\nreturn frame"
    rows = orders(DAYS, price=[9.0 if i == 200 else i % 3.0 for i in range(len(DAYS))])
    with pytest.raises(InputError, match=r"KeyError: 9.*\(given only the \d+ rows up to 2026-") as caught:
        stage(body, table=rows, **MADE)
    assert "is not among" not in str(caught.value)


PAST = [
    "frame['made'] = frame['price'].expanding().mean()",
    "frame['made'] = frame.groupby('items')['price'].cumsum() / 3",
    "frame['made'] = frame.groupby('items').ordered_at.diff().dt.total_seconds()",
    "frame['made'] = frame.groupby('items')['price'].transform(lambda one: one.rolling(4).mean())",
    "frame['made'] = frame.rolling('36h', on='ordered_at')['price'].sum()",
]


@pytest.mark.parametrize("body", PAST)
def test_a_function_that_reads_the_past_is_not_refused(stage: Any, body: str) -> None:
    rows = orders(DAYS, price=[float(i * 37 % 101) / 7 for i in range(len(DAYS))])
    assert len(stage(f"{body}\nreturn frame", table=rows, **MADE)) == len(DAYS)


def test_rows_of_one_moment_are_given_together(stage: Any) -> None:
    days = [float(i // 10) for i in range(240)]
    body = "frame['made'] = frame.groupby('ordered_at').order_id.transform('count')\nreturn frame"
    assert set(stage(body, table=orders(days), **MADE)["made"].to_pylist()) == {10.0}


@pytest.mark.parametrize("before", ["", "ROW_WISE = True"])
def test_a_function_with_another_result_each_time_is_refused(stage: Any, before: str) -> None:
    body = "import numpy as np\nframe['made'] = np.random.default_rng().random(len(frame))\nreturn frame"
    with pytest.raises(InputError, match="not deterministic: the column made differs in"):
        stage(body, before, **MADE)
    stage("import numpy as np\nframe['made'] = np.random.default_rng(7).random(len(frame))\nreturn frame", **MADE)


def test_a_row_wise_function_runs_on_a_part_of_the_rows_at_a_time(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "GROUP_ROWS", 50)
    seen = "with open('seen', 'a') as file:\n    print(len(frame), file=file)\n"
    prepared = stage(seen + "frame['made'] = frame['price'] * frame['items']\nreturn frame", "ROW_WISE = True", **MADE)
    assert prepared["made"].to_pylist() == [float(i) for i in prepared["items"].to_pylist()]
    assert max(int(line) for line in Path("seen").read_text().split()) == 50


@pytest.mark.parametrize("body", [FUTURE[0], PAST[0]])
def test_a_function_that_is_not_row_wise_as_declared_is_refused(stage: Any, body: str) -> None:
    rows = orders(DAYS, price=[float(i * 37 % 101) for i in range(len(DAYS))])
    with pytest.raises(InputError, match="not row-wise: the column made differs in"):
        stage(f"{body}\nreturn frame", "ROW_WISE = True", rows, **MADE)


def test_the_function_runs_a_bounded_number_of_times_and_never_on_later_rows_before(stage: Any, tmp_path: Path) -> None:
    body = f"with open({str(tmp_path / 'seen')!r}, 'a') as file:\n    print(len(frame), file=file)\n"
    stage(body + BEFORE, **MADE)
    first, *runs = [int(line) for line in Path("seen").read_text().split()]
    early, late = runs[:-3], runs[-3:]
    assert runs == sorted(runs) and first == late[-1] == 240 and first + sum(late) <= 3.1 * 240
    assert len(early) <= preparation_checks.TELLING + preparation_checks.EVEN


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.drop(["price"]),
        lambda rows: rows.set_column(3, "price", pa.array(["much"] * len(rows))),
        lambda rows: rows.set_column(4, "items", pa.array([None] * len(rows), pa.int64())),
        lambda rows: rows.set_column(0, "order_id", pa.array(["o1"] * len(rows))),
        lambda rows: rows.slice(0, 0),
    ],
)
@pytest.mark.parametrize("before", ["", "ROW_WISE = True"])
def test_rows_with_an_error_are_left_to_the_validation(
    stage: Any, change: Any, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = change(orders(DAYS))
    assert stage("raise ValueError\n", before, wrong, **MADE).equals(wrong)
    assert "was not run: data/ has" in capsys.readouterr().out


def test_a_column_of_data_that_is_marked_as_prepared_is_refused(stage: Any) -> None:
    with pytest.raises(InputError, match="data/ has the column items, which schema.columns marks as prepared"):
        stage("return frame", items={"type": "integer", "prepared": True})


@pytest.mark.parametrize("killed_before", [True, False])
def test_a_process_that_ends_is_an_error_of_the_function_and_not_of_the_disk(stage: Any, killed_before: bool) -> None:
    exits = "" if killed_before else "import pathlib, os\npathlib.Path('data').exists() or os._exit(9)\n"
    stage("return frame")
    write_text(FUNCTION, f"def prepare(frame):\n{textwrap.indent(exits + BEFORE, '    ')}\n")
    preparation = load_preparation(small_params().table)
    with preparation_checks.prepared_apart(preparation) as run:
        if killed_before:
            (process,) = multiprocessing.active_children()
            process.kill()
            process.join()
        with pytest.raises(InputError, match="ended its process"):
            run(orders(DAYS))
