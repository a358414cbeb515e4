"""The tests and detectors of the monitor, against simulation and known results."""

import numpy as np
import pytest

from pipelines.monitor.detectors import (
    add_evidence,
    adjust_holm,
    common_bins,
    e_value,
    excess_p_value,
    list_shifted,
    psi,
    sampling_error,
    shift_p_value,
    volume_p_value,
)

SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def test_p_values_are_uniform_without_drift_and_tolerance() -> None:
    counts = np.random.default_rng(0).multinomial(5_000, SHARES, size=4_000).astype(float)
    p_values = shift_p_value(counts, SHARES, 0.0)
    assert [np.mean(p_values <= level) for level in (0.01, 0.1, 0.5)] == pytest.approx([0.01, 0.1, 0.5], abs=0.02)


@pytest.mark.parametrize("reference_rows", [2_000, 20_000])
def test_the_sampling_error_of_a_fixed_reference_raises_no_alarms(reference_rows: int) -> None:
    generator = np.random.default_rng(1)
    rejected = []
    for _ in range(200):
        reference = generator.multinomial(reference_rows, SHARES).astype(float)
        counts = generator.multinomial(20_000, SHARES, size=20).astype(float)
        tolerance = sampling_error(4, reference_rows)
        rejected.append(np.mean(shift_p_value(counts, reference / reference_rows, tolerance) <= 0.01))
    assert np.mean(rejected) <= 0.02


def test_a_shift_within_the_tolerance_is_not_found_and_a_larger_one_is() -> None:
    moved = np.array([0.42, 0.30, 0.19, 0.09])
    distance = float(((moved - SHARES) ** 2 / SHARES).sum())
    counts = np.random.default_rng(2).multinomial(100_000, moved, size=500).astype(float)
    assert np.mean(shift_p_value(counts, SHARES, distance) <= 0.01) <= 0.02
    assert np.mean(shift_p_value(counts, SHARES, distance / 4) <= 0.01) >= 0.99


@pytest.mark.parametrize("rows", [1e3, 1e5, 1e6, 1e7, 1e9])
@pytest.mark.parametrize("tolerance", [0.0, 1e-6, 0.005, 0.3, 5.0])
def test_p_values_exist_for_windows_of_any_size(rows: float, tolerance: float) -> None:
    equal, other = SHARES * rows, np.array([0.1, 0.2, 0.3, 0.4]) * rows
    assert shift_p_value(equal, SHARES, tolerance) >= 0.5
    assert shift_p_value(other, SHARES, tolerance) <= (1e-12 if tolerance < 0.3 else 1)


def test_one_bin_never_shifts() -> None:
    assert shift_p_value(np.array([10.0]), np.array([1.0]), 0.0) == 1.0


def test_bins_with_few_expected_rows_are_one_bin() -> None:
    counts, shares = common_bins(np.array([90.0, 8, 1, 1, 0]), np.array([9_000.0, 600, 300, 100, 0]))
    assert (counts.tolist() == [90, 8, 2] and shares == pytest.approx([0.9, 0.06, 0.04])) or len(counts) == 2
    assert shares.sum() == pytest.approx(1) and (shares * 100 >= 5).all()


def test_rows_of_a_new_bin_are_compared_with_the_smallest_bin() -> None:
    counts, shares = common_bins(np.array([500.0, 300, 200]), np.array([600.0, 400, 0]))
    assert counts.tolist() == [500, 500] and shares.tolist() == [0.6, 0.4]


def test_psi_is_that_of_the_formula_and_finite_for_empty_bins() -> None:
    counts, reference = np.array([50.0, 30, 20]), np.array([400.0, 300, 300])
    q, p = counts / 100, reference / 1000
    assert psi(counts, reference) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    assert 0 < psi(np.array([100.0, 0]), np.array([50.0, 50])) < 10


def test_missing_values_in_a_tenth_of_the_rows_are_certain_and_the_usual_share_is_not() -> None:
    assert excess_p_value(200, 2_000, 400, 20_000, 0.001) < 1e-12
    assert excess_p_value(41, 2_000, 400, 20_000, 0.0) > 0.2
    assert excess_p_value(0, 2_000, 0, 20_000, 0.0) == 1.0


def test_excess_is_valid_for_rare_rows() -> None:
    generator = np.random.default_rng(3)
    rates = generator.exponential(3, 3_000) / 20_000
    references, windows = generator.poisson(rates * 20_000), generator.poisson(rates * 20_000)
    p_values = np.array(
        [excess_p_value(int(w), 20_000, int(r), 20_000, 0.0) for w, r in zip(windows, references, strict=True)]
    )
    assert np.mean(p_values <= 0.01) <= 0.015


def test_the_volume_is_judged_by_the_scatter_of_earlier_passes() -> None:
    steady, wild = [10_000, 10_400, 9_800, 10_100, 9_900], [10_000, 20_000, 5_000, 30_000, 8_000]
    assert volume_p_value(3_000, steady) < 0.001 < volume_p_value(3_000, wild)
    assert volume_p_value(10_300, steady) > 0.3
    assert volume_p_value(0, steady) < 1e-4


def test_evidence_follows_the_recursion_and_stays_finite() -> None:
    assert add_evidence(0.0, e_value(0.25)) == 1.0
    assert add_evidence(3.0, e_value(0.01)) == pytest.approx(20)
    evidence = np.zeros(2)
    for _ in range(100):
        evidence = add_evidence(evidence, e_value(np.array([0.0, 1.0])))
    assert np.isfinite(evidence).all() and evidence[1] == pytest.approx(1.0)


def test_the_mean_time_between_alarms_of_the_evidence_is_at_least_its_limit() -> None:
    generator = np.random.default_rng(4)
    evidence, alarms = np.zeros(400), 0
    for _ in range(500):
        evidence = add_evidence(evidence, e_value(generator.random(400)))
        alarms += int((evidence >= 50).sum())
        evidence[evidence >= 50] = 0
    assert 400 * 500 / alarms >= 50


def test_holm_adjusts_as_in_the_textbook() -> None:
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([]) == []


def test_benjamini_and_hochberg_list_up_to_the_last_p_value_below_its_line() -> None:
    assert list_shifted([0.01, 0.9, 0.02, 0.5]) == [True, False, True, False]
    assert list_shifted([0.04, 0.045, 0.05]) == [True, True, True]
    assert list_shifted([0.5, 0.6]) == [False, False]
    assert list_shifted([]) == []
