"""Scores of inputs alone and together; two columns whose sum is the target must stand out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.model.inputs import inputs_of
from pipelines.tables.data import connect
from pipelines.tables.leak_scores import Sample, leak_scores
from tests.engine.review.made_up import params

ROWS = 3000
SPLIT = {"by": "hash", "column": "order_id", "salt": "a", "test": 0.2, "validation": 0.3}


def sample(folder: Path, task: str, leaks: bool) -> tuple[Sample, tuple[str, ...]]:
    """Rows in which `price` and `usual_price` together give the target, or say little about it."""
    draw = np.random.default_rng(1)
    target = draw.random(ROWS) < 0.1 if task == "classification" else draw.normal(100, 10, ROWS)
    noise = draw.normal(100, 30, ROWS)
    rows = {name: pa.array(values) for name, values in {
        "order_id": np.arange(ROWS).astype(str),
        "ordered_at": np.datetime64("2026-01-01", "s") + draw.integers(0, 90 * 86_400, ROWS),
        "price": noise,
        "usual_price": target - noise if leaks else target * 0.5 + draw.normal(size=ROWS) * 10,
        "items": draw.integers(1, 9, ROWS),
        "size": draw.choice(["S", "M", "L"], ROWS),
        "usual_size": draw.choice(["S", "M", "L"], ROWS),
        "shop": draw.choice(["web", "city"], ROWS),
        "region": draw.choice(["north", "south"], ROWS),
        "gift": draw.random(ROWS) < 0.5,
        "returned": target,
    }.items()}  # fmt: skip
    settings = params(task)
    path = folder / f"{task}-{leaks}.parquet"
    pq.write_table(pa.table(rows), path)
    return Sample(connect().read_parquet(str(path)), settings, SPLIT, inputs_of(settings)), settings.inputs


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_two_columns_that_sum_to_the_target_score_nearly_one(tmp_path, task):
    leaky, names = sample(tmp_path, task, leaks=True)
    pair = ("price", "usual_price")
    assert leaky.leak_score(pair).value > 0.99
    assert leaky.leak_score(names).value > 0.99
    assert max(leaky.leak_score([name]).value for name in pair) < 0.9
    innocent, _ = sample(tmp_path, task, leaks=False)
    assert innocent.leak_score(pair).value < 0.9


def test_inputs_are_compared_with_those_of_the_base(tmp_path):
    innocent, names = sample(tmp_path, "classification", leaks=False)
    leaky, _ = sample(tmp_path, "classification", leaks=True)
    without = tuple(name for name in names if name != "usual_price")
    scores = leak_scores(leaky, innocent, names, without)
    assert set(scores.alone) == set(without)
    assert scores.new is not None and scores.new.value < 0.9
    before, now = scores.together
    assert before is not None and before.value < 0.6 < 0.99 < now.value
    assert leak_scores(leaky, leaky, names, names).alone == {}
    assert leak_scores(leaky, None, names, ()).together[0] is None


def test_the_standard_error_shrinks_with_the_number_of_rows_of_the_rarer_class(tmp_path):
    innocent, names = sample(tmp_path, "classification", leaks=False)
    score = innocent.leak_score(names)
    assert 0.01 < score.error < 0.08
