from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.review import gates
from pipelines.review.findings import Gate, MetricRow
from tests.engine.review.made_up import params


def row(name, head=0.8, low=-0.01, high=0.02, base=0.8):
    delta = None if low is None else (low + high) / 2
    return MetricRow(name, base, head, delta, low, high)


def floor(name, head, limit, task="classification"):
    (gate,) = gates.floor_gates((row(name, head),), params(task, gates={"floors": {name: limit}}))
    return gate


def test_a_floor_holds_up_to_the_limit_itself_whichever_way_is_better():
    assert floor("roc_auc", 0.7, 0.7).passed
    assert not floor("roc_auc", 0.6999, 0.7).passed
    assert floor("log_loss", 0.3, 0.3).passed
    assert not floor("log_loss", 0.3001, 0.3).passed
    assert floor("mae", 0.9, 1.0, "regression").passed


def test_a_metric_that_is_not_defined_misses_its_floor():
    gate = floor("roc_auc", None, 0.1)
    assert not gate.passed and gate.value is None


def regression(name, low, high, tolerance, task="classification", head=0.8):
    (gate,) = gates.regression_gates(
        (row(name, head, low, high),), params(task, gates={"regression": {name: tolerance}})
    )
    return gate


@pytest.mark.parametrize(
    ("name", "low", "high", "tolerance", "passes"),
    [
        ("roc_auc", -0.02, 0.01, 0.02, True),
        ("roc_auc", -0.0201, 0.01, 0.02, False),
        ("roc_auc", 0.01, 0.02, 0.0, True),
        ("roc_auc", 0.0, 0.0, 0.0, True),
        ("log_loss", -0.01, 0.02, 0.02, True),
        ("log_loss", -0.01, 0.0201, 0.02, False),
        ("log_loss", -0.02, -0.01, 0.0, True),
    ],
)
def test_the_unfavourable_end_of_the_interval_may_lie_as_far_beyond_main_as_tolerated(
    name, low, high, tolerance, passes
):
    assert regression(name, low, high, tolerance).passed is passes


def test_value_and_limit_are_gains_whichever_way_is_better():
    worse, better = regression("log_loss", -0.01, 0.05, 0.02), regression("roc_auc", 0.01, 0.05, 0.02)
    assert (worse.value, worse.limit) == (-0.05, -0.02)
    assert (better.value, better.limit) == (0.01, -0.02)


def test_a_difference_without_an_interval_fails():
    assert not regression("roc_auc", None, None, 1.0).passed
    assert not regression("roc_auc", None, None, 1.0, head=None).passed


def test_a_regression_is_gated_like_a_classification():
    assert regression("mae", -0.5, 0.05, 0.1, "regression").passed
    assert not regression("mae", -0.5, 0.11, 0.1, "regression").passed
    assert not regression("r2", -0.11, 0.5, 0.1, "regression").passed


def test_a_file_is_measured_in_megabytes(tmp_path: Path):
    model = tmp_path / "model.onnx"
    model.write_bytes(bytes(5_000_000))
    assert [gate.passed for gate in gates.file_gates(model, params())] == [True]
    model.write_bytes(bytes(5_000_001))
    assert [gate.passed for gate in gates.file_gates(model, params())] == [False]


@pytest.fixture
def slow_scorers(monkeypatch):
    """Scorers whose model's name is the milliseconds of a row, by a clock that moves only while a row is scored."""
    now = 0.0

    class SlowScorer:
        def __init__(self, model, signature, threads):
            assert threads == 1
            self.signature, self.milliseconds = SimpleNamespace(example={"price": 1}), int(model.name)

        def score_row(self, row):
            nonlocal now
            assert row == self.signature.example
            now += self.milliseconds / 1000

    monkeypatch.setattr(gates, "Scorer", SlowScorer)
    monkeypatch.setattr(gates, "time", SimpleNamespace(perf_counter=lambda: now))


def test_the_time_of_one_row_on_one_thread_is_judged_relative_to_the_base(slow_scorers):
    slow, fast = (Path("30"), Path("signature")), (Path("10"), Path("signature"))
    (slower,) = gates.time_gates(slow, fast, params(gates={"scoring_time_ratio": 2.9}))
    assert not slower.passed and slower.value == pytest.approx(3)
    (faster,) = gates.time_gates(fast, slow, params(gates={"scoring_time_ratio": 1.0}))
    assert faster.passed and faster.value == pytest.approx(1 / 3)


def test_gates_that_are_shown_only_do_not_block():
    shown = gates.shown_only([Gate("floor", "floors", False, 1.0, 2.0, "too low")])
    assert shown == [Gate("floor", "floors", False, 1.0, 2.0, "too low", blocks=False)]
