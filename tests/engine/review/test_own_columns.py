"""Prepared columns of the head's rows by the function of an earlier commit, and its model scored on them. Needs git."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import InputError
from pipelines.repository.git import commit_of, git
from pipelines.review import earlier_model as module
from pipelines.review.earlier_model import EarlierModel, comparable_model, own_columns
from pipelines.tables.rows import load_rows
from tests.engine.review.made_up import params, table

# A module beside it, and a file that is no text: all of features/ is the commit's.
FUNCTION = """
from pathlib import Path
from features.words import FACTOR

def prepare(frame):
    offset = len(Path("features/offset.bin").read_bytes())
    return frame.assign(items=(frame["price"] * FACTOR).astype("int64") + offset)
"""
OFFSET = b"\xff\xfe\x00"
ITEMS = {"type": "integer", "min": 1, "prepared": True}


def schema(**columns: dict[str, Any] | None) -> dict[str, Any]:
    """The section `schema` with other columns; None takes one away."""
    own = json.loads(params().model_dump_json(by_alias=True, exclude_none=True))["schema"]["columns"] | columns
    return {"columns": {name: column for name, column in own.items() if column is not None}}


def write(function: str = FUNCTION, factor: int = 2, **columns: dict[str, Any] | None) -> Any:
    """Write features/ and params.yaml of a commit, and return the parameters."""
    Path("features").mkdir(exist_ok=True)
    Path("features/prepare.py").write_text(function)
    if not function:
        Path("features/prepare.py").unlink()
    Path("features/words.py").write_text(f"FACTOR = {factor}\n")
    Path("features/offset.bin").write_bytes(OFFSET)
    written = params(schema=schema(items=ITEMS, **columns))
    Path("params.yaml").write_text(written.model_dump_json(by_alias=True))
    return written


@pytest.fixture
def rows(logistic, tmp_path, monkeypatch) -> pa.Table:
    """A repository with data/ and a commit that makes `items` of the price; its rows without `items`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    module._prepare.cache_clear()
    data = table(logistic).drop(["items"])
    Path("data").mkdir()
    pq.write_table(data, "data/orders.parquet")
    git("init", "--quiet")
    commit()
    return data


def commit(*arguments: Any, **columns: Any) -> str:
    write(*arguments, **columns)
    git("add", "features", "params.yaml")
    git("-c", "user.name=tests", "-c", "user.email=tests@example.invalid", "commit", "--quiet", "--message", "base")
    return str(commit_of("HEAD"))


def signature(logistic, **kinds: str) -> Any:
    kinds = kinds or {"items": "integer"}
    own = logistic.scorer().signature
    inputs = tuple(
        replace(item, prepared=True, type=kinds[item.name]) if item.name in kinds else item for item in own.inputs
    )
    return replace(own, inputs=inputs)


def test_nothing_is_run_where_the_head_makes_the_columns_the_same_way_or_the_model_reads_none(
    rows, logistic, monkeypatch
):
    monkeypatch.setattr(module, "run_stage", None)
    base = str(commit_of("HEAD"))
    assert own_columns(base, signature(logistic), write(shop={"type": "category"})) is None
    Path("features/words.py").write_text("FACTOR = 3\n")
    assert own_columns(base, logistic.scorer().signature, params()) is None
    with pytest.raises(TypeError):
        own_columns(base, signature(logistic), params(schema=schema(items=ITEMS)))


@pytest.mark.parametrize("head_has_it", [True, False])
def test_a_model_split_by_a_column_that_the_head_makes_otherwise_is_not_comparable(rows, logistic, head_has_it):
    """Which rows it was trained on cannot be told then."""
    head = write(factor=2_000)
    scorer = logistic.scorer()
    scorer.signature = replace(signature(logistic), split={"column": "items"}, trained_until=None)
    values = pa.array((rows["price"].to_numpy() * 2_000).astype(int))
    table_of_head = ibis.memtable(rows.append_column("items", values) if head_has_it else rows)
    with pytest.raises(InputError, match="not comparable: column items"):
        comparable_model(table_of_head, head, scorer, str(commit_of("HEAD")))


def test_a_model_is_scored_on_its_own_values_whatever_the_order_and_choice_of_the_rows(rows, logistic):
    head = write(factor=2_000)
    scorer = logistic.scorer()
    scorer.signature = signature(logistic)
    doubled = (rows["price"].to_numpy() * 2).astype(int)

    def loaded(items: np.ndarray, inputs: Any) -> Any:
        picked = np.random.default_rng(3).permutation(len(rows))[:150]
        with_items = rows.append_column("items", pa.array(items)).take(picked)
        return load_rows(ibis.memtable(with_items), head, inputs)

    table_of_head = ibis.memtable(rows.append_column("items", pa.array(doubled * 1_000)))
    earlier = comparable_model(table_of_head, head, scorer, str(commit_of("HEAD")))
    assert earlier.own.column_names == ["order_id", "items"]
    assert "items" not in [item.name for item in earlier.inputs]
    on_its_own = earlier.score(loaded(doubled * 1_000, earlier.inputs))
    assert np.array_equal(
        on_its_own, EarlierModel(scorer).score(loaded(doubled + len(OFFSET), scorer.signature.inputs))
    )
    on_heads = EarlierModel(scorer).score(loaded(doubled * 1_000, scorer.signature.inputs))
    assert np.abs(on_its_own - on_heads).max() > 0.1


def test_a_column_that_the_head_does_not_make_or_declares_otherwise_is_made(rows, logistic):
    base = str(commit_of("HEAD"))
    without = params(schema=schema(items=None), features={"use": ["price", "size"]})
    for head in (without, params(schema=schema(items={"type": "number", "prepared": True}))):
        own = own_columns(base, signature(logistic), head)
        assert own is not None and own["items"].type == pa.int64() and own.num_rows == len(rows)


def test_rows_that_the_commits_own_schema_would_refuse_are_given_to_its_function(rows, logistic):
    base = commit(FUNCTION, 2, gift={"type": "boolean"})
    head = write(FUNCTION, 3)  # here gift is nullable, and some rows have none
    assert rows["gift"].null_count
    assert own_columns(base, signature(logistic), head).num_rows == len(rows)


def test_a_small_limit_and_an_unusual_name_reach_the_commits_function(rows, logistic):
    base = str(commit_of("HEAD"))
    price = {"type": "number", "min": 0.00001}
    Path("data/orders.parquet").unlink()
    pq.write_table(rows.append_column("😀", rows["price"]), "data/orders.parquet")
    head = write(FUNCTION, 3, price=price, **{"😀": {"type": "number"}})
    assert own_columns(base, signature(logistic), head).num_rows == len(rows)


def test_versions_with_the_same_files_are_prepared_once(rows, logistic, monkeypatch):
    first, second = commit(FUNCTION, 3), commit(FUNCTION, 3, shop={"type": "category"})
    head = write()
    own = own_columns(first, signature(logistic), head)
    monkeypatch.setattr(module, "run_stage", None)
    assert own_columns(second, signature(logistic), head).equals(own)


FAILS = 'def prepare(frame):\n    return frame.assign(items=frame["colour"])\n'
DRAWS = "def prepare(frame):\n    return frame.assign(items=id(frame))\n"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (FAILS, "features/prepare.py raises KeyError: 'colour', prepare.py line 2"),
        (DRAWS, "features/prepare.py is not deterministic"),
        ("", "features/prepare.py is missing"),
    ],
    ids=["raises", "draws", "missing"],
)
def test_a_model_whose_function_cannot_be_run_is_not_comparable(rows, logistic, function, why):
    base = commit(function)
    head = write(FUNCTION, 3)
    scorer = logistic.scorer()
    scorer.signature = signature(logistic)
    with pytest.raises(InputError, match="^not comparable: prepared columns of commit") as error:
        comparable_model(ibis.memtable(rows.append_column("items", rows["price"])), head, scorer, base)
    assert why in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("factor", [1, 5])
def test_a_column_that_moved_to_the_rows_must_have_the_values_of_the_function(rows, logistic, factor):
    base = str(commit_of("HEAD"))
    items = (rows["price"].to_numpy() * 2).astype(int) + len(OFFSET)
    pq.write_table(rows.append_column("items", pa.array(items * factor)), "data/orders.parquet")
    write("def prepare(frame):\n    return frame\n")
    head = params(schema=schema(items={"type": "integer", "min": 1}))
    if factor == 1:
        assert own_columns(base, signature(logistic), head).column_names == ["order_id"]
        return
    with pytest.raises(InputError, match="changes the column items"):
        own_columns(base, signature(logistic), head)
