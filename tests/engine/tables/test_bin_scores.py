from collections.abc import Sequence
from typing import Any

import ibis
import pytest

from pipelines.tables.bin_scores import bin_scores
from tests.engine.training.conftest import REGRESSION, orders, small_params


def scores(returned: Sequence[Any], price: Sequence[float], without: set[str] | None = None, **changes: Any) -> Any:
    table = ibis.memtable(orders([0.0] * len(returned), returned, price))
    return bin_scores(table, small_params(**changes), {"items"} if without is None else without)


def test_the_leak_score_of_a_classification_is_the_auc_of_the_share_of_positives_by_value() -> None:
    # Shares of returned orders: 1/1 at price 3, 1/2 at 2, 0/2 at 1. Of the 2 x 3 pairs one is tied and none is wrong.
    assert scores([True, True, False, False, False], [3, 2, 2, 1, 1]) == {"price": pytest.approx(5.5 / 6)}
    # The order of the values does not matter, only that they tell the classes apart.
    assert scores([True, False, False, True], [1, 2, 2, 3]) == {"price": 1.0}


def test_the_leak_score_ignores_rows_without_a_label() -> None:
    assert scores([True, False] + [None] * 8, [2, 1] + [2] * 4 + [1] * 4) == {"price": 1.0}


def test_the_leak_score_of_a_regression_is_the_explained_share_of_the_variance() -> None:
    # Means 1 and 4; squares about the overall mean of 2.5: 9 between, and 1 + 1 + 1 + 1 within.
    assert scores([0.0, 2, 3, 5, None], [1, 1, 2, 2, 2], **REGRESSION) == {"price": pytest.approx(9 / 13)}


def test_the_leak_score_leaves_out_inputs_with_data_errors() -> None:
    assert set(scores([True, False], [2, 1], set())) == {"price", "items"}
    assert scores([True, False], [2, 1], {"price", "items"}) == {}
