"""The error rates of the monitor, by fewer histories than bench/watch.py simulates for docs/monitoring.md."""

import json

import pytest

from bench import watch


@pytest.mark.watch
@pytest.mark.parametrize("rows", [2_000, 20_000, 150_000])
def test_false_alarms_stay_within_the_budget_and_large_shifts_are_found(rows):
    rates = watch.simulate(rows, 100, seed=11)
    # With 100 histories the interval is wide; the committed table has a narrow one.
    assert rates.high is None or rates.high >= watch.BUDGET
    assert rates.shifts["large"]["found"] >= 0.8 and rates.shifts["large"]["delay"] <= 2


@pytest.mark.watch
def test_an_alarm_that_ignores_natural_variation_exceeds_the_budget(monkeypatch):
    monkeypatch.setattr(watch, "natural_variation", lambda days: {})
    rates = watch.simulate(150_000, 20, seed=11)
    assert rates.between < watch.BUDGET / 4


def test_the_committed_rates_keep_the_budget():
    document = json.loads(watch.PATH.read_text())
    assert document["budget"] == watch.BUDGET and document["passes"] == watch.PASSES
    assert [rates["rows"] for rates in document["rates"]] == list(watch.ROWS)
    assert all(rates["histories"] >= 500 and rates["low"] >= watch.BUDGET for rates in document["rates"])


def test_a_shift_has_the_psi_that_it_is_named_for():
    import numpy as np

    from pipelines.monitor.detectors import psi

    shares = np.full(20, 0.05)
    assert psi(watch.shifted(shares, 0.03) * 1e6, shares * 1e6) == pytest.approx(0.03, rel=0.01)
