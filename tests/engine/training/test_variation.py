"""Natural variation: what is found in days of counts that were drawn with and without it."""

from datetime import timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest

from pipelines.model.signature import Input
from pipelines.training.variation import BINS, count_days, natural_variation
from tests.engine.training.conftest import START

SHARES = np.full(10, 0.1)


def days(number: int, rows: int, deviation: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    shares = SHARES * np.exp(deviation * generator.standard_normal((number, 10)))
    return generator.multinomial(rows, shares / shares.sum(axis=1, keepdims=True)).astype(float)


def test_sampling_noise_is_no_variation_and_real_variation_is_covered() -> None:
    quiet, lively = natural_variation(days(66, 20_000, 0.0)), natural_variation(days(66, 20_000, 0.1))
    assert set(quiet) == set(lively) == {"1", "7"}
    assert quiet["7"] < 0.001
    # A day's shares vary by PSI 0.01 on average, a week's by a seventh of it.
    assert 0.01 < lively["1"] < 0.1 and 0.01 / 7 < lively["7"] < lively["1"]


def test_a_length_needs_four_windows_with_500_rows() -> None:
    assert set(natural_variation(days(30, 1_000, 0.0))) == {"1", "7"}
    assert set(natural_variation(days(29, 1_000, 0.0))) == {"1"}
    assert set(natural_variation(days(114, 1_000, 0.0))) == {"1", "7", "28"}
    assert set(natural_variation(days(66, 100, 0.0))) == {"7"}
    assert natural_variation(days(3, 1_000, 0.0)) == {}


def test_a_cold_start_is_no_natural_variation() -> None:
    counts = days(66, 5_000, 0.05)
    cold = counts.copy()
    cold[:7, 0] += 20_000
    settled, started_cold = natural_variation(counts)["7"], natural_variation(cold)["7"]
    shifted = cold.copy()
    shifted[30:37] = cold[:7]
    assert started_cold < natural_variation(shifted)["7"]
    assert settled < started_cold


def test_a_column_of_one_bin_does_not_vary() -> None:
    assert natural_variation(np.full((40, 1), 1_000.0)) == {"1": 0.0, "7": 0.0}


@pytest.mark.parametrize("values", [5, BINS + 10])
def test_every_row_is_counted_on_its_day(values: int) -> None:
    rows = values * 20
    table = pa.table(
        {
            "at": pa.array([START + timedelta(days=i % 4, hours=i % 24) for i in range(rows)], pa.timestamp("ms")),
            "kind": [None if i % values == 0 else f"k{i % values}" for i in range(rows)],
        }
    )
    counts = {"missing": 20, **{f"k{i}": 20 for i in range(1, values)}}
    counted = count_days(ibis.memtable(table), Input("kind", "category", nullable=True), [], counts, "at")
    assert counted.shape == (4, min(values, BINS) + 1)
    assert counted.sum() == rows and (counted.sum(axis=1) == rows / 4).all()
    assert counted[:, -1].sum() == max(values - BINS, 0) * 20
