import json
from typing import Any

import numpy as np
import pytest

from pipelines.config.paths import CANDIDATES, CANDIDATES_PLOT, SELECTION
from pipelines.training import select
from tests.engine.training.conftest import REGRESSION, Prepare, orders

# The newest row is immature. By price, the returned rank first in validation (from day 15) and last in test (from 25)
# and in training.
DAYS = [40.0, 30, 29, 20, 19, 18, 17, 1, 0]
RETURNED = [True, False, True, True, False, True, False, False, True]
PRICES = [10.0, 90, 10, 90, 60, 40, 10, 90, 10]
RISING, FALLING = (0.01, 0.0), (-0.01, 1.0)


def selection() -> dict[str, Any]:
    select.main()
    document: dict[str, Any] = json.loads(SELECTION.read_text(encoding="utf-8"))
    return document


def test_the_winner_is_the_best_on_the_validation_rows_alone(prepare: Prepare) -> None:
    prepare(orders(DAYS, RETURNED, PRICES), {"boosting": FALLING, "logistic": RISING})
    document = selection()
    assert (document["criterion"], document["rows"], document["winner"]) == ("roc_auc", 4, "logistic")
    # Of the four pairs of a returned and a kept order, three are in the right order.
    assert {name: metrics["roc_auc"] for name, metrics in document["candidates"].items()} == {
        "boosting": 0.25,
        "logistic": 0.75,
    }
    # The square errors of 0.9 and 0.4 against 1 and of 0.6 and 0.1 against 0.
    assert document["candidates"]["logistic"]["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert not {"precision", "recall", "f1"} & set(document["candidates"]["logistic"])
    assert CANDIDATES_PLOT.read_text(encoding="utf-8") == "name,value\nboosting,0.25\nlogistic,0.75\n"


def test_a_criterion_that_needs_a_threshold_uses_the_best_one_of_each_candidate(prepare: Prepare) -> None:
    # At 0.5 the winner would decide nothing.
    prepare(orders(DAYS, RETURNED, PRICES), {"boosting": FALLING, "logistic": (0.001, 0.0)}, selection={"metric": "f1"})
    document = selection()
    assert document["winner"] == "logistic"
    # Prices from 40 up: both returned orders and one other; in falling order all four.
    assert document["candidates"]["logistic"]["f1"] == pytest.approx(4 / 5)
    assert document["candidates"]["boosting"]["f1"] == pytest.approx(4 / 6, abs=1e-6)


def test_the_regression_with_the_smallest_error_wins(prepare: Prepare) -> None:
    # Predicted from validation prices 90, 60, 40 and 10: 0.9, 0.6, 0.4, 0.1 or 0.1, 0.4, 0.6, 0.9.
    targets = [0.0, 0, 0, 0.8, 0.7, 0.4, 0.1, 0, 0]
    prepare(orders(DAYS, targets, PRICES), {"boosting": FALLING, "logistic": RISING}, **REGRESSION)
    document = selection()
    assert document["winner"] == "logistic"
    assert document["candidates"]["logistic"]["mae"] == pytest.approx(0.05, rel=1e-5)
    assert document["candidates"]["boosting"]["mae"] == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("order", [("b", "a", "c"), ("a", "b", "c"), ("c", "b", "a")])
def test_a_tie_is_won_by_the_first_name(order: tuple[str, ...]) -> None:
    values = {"a": 0.5, "b": 0.5, "c": 0.4}
    assert select.choose({name: values[name] for name in order}, "roc_auc") == "a"
    assert select.choose({name: values[name] for name in order}, "log_loss") == "c"


def test_each_candidate_has_an_interval_around_its_score_and_the_size_of_its_file(prepare: Prepare) -> None:
    draw = np.random.default_rng(3)
    days, price = np.linspace(0, 60, 600), draw.uniform(0, 100, 600)
    returned = draw.random(600) < price / 100
    prepare(orders(days.tolist(), returned.tolist(), price.tolist()), {"boosting": FALLING, "logistic": RISING})
    document = selection()
    low, high = document["intervals"]["logistic"]
    assert low < document["candidates"]["logistic"]["roc_auc"] < high
    # About 100 validation rows, half of them positive: the standard error of an AUC is 0.03 to 0.06.
    assert 0.1 < high - low < 0.25
    assert document["intervals"]["boosting"] == pytest.approx([1 - high, 1 - low], abs=1e-5)
    assert document["bytes"] == {name: (CANDIDATES / f"{name}.onnx").stat().st_size for name in document["bytes"]}


def test_too_few_rows_give_no_interval(prepare: Prepare) -> None:
    prepare(orders(DAYS, RETURNED, PRICES), {"boosting": FALLING, "logistic": RISING})
    assert selection()["intervals"] == {"boosting": [None, None], "logistic": [None, None]}
