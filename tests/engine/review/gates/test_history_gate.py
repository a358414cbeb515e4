import math

import pytest

from pipelines.review.findings import HistoryRow
from pipelines.review.gates.history import history_gate
from tests.engine.review.made_up import evidence

SETTING = {"history": {"versions": 5, "regression": {"roc_auc": 0.02}}}


def results(*rows, setting=SETTING):
    return list(history_gate(evidence(sections={"gates": setting}, history=rows)))


def against(version, delta, error=0.002, metric="roc_auc"):
    return HistoryRow(f"orders@v{version}", metric, 0.9, delta, error, 1000)


def test_a_loss_that_is_shown_to_be_beyond_the_tolerance_fails_and_names_the_version():
    (result,) = results(against("1.0.0", -0.05), against("1.1.0", -0.01), against("2.0.0", 0.01))
    assert not result.passed and "orders@v1.0.0" in result.why and "tolerance is 0.02" in result.why
    assert result.value < result.limit == -0.02


def test_losses_within_the_tolerance_and_gains_pass():
    (result,) = results(against("1.0.0", -0.019), against("1.1.0", 0.3))
    assert result.passed and result.value >= result.limit


def test_the_more_versions_the_more_a_loss_must_stand_out():
    loss = against("1.0.0", -0.0245)  # 2.25 standard errors beyond the tolerance
    assert not results(loss)[0].passed
    assert results(loss, *(against(f"1.{i}.0", 0.0) for i in range(1, 5)))[0].passed


def test_where_lower_is_better_a_rise_is_the_loss():
    setting = {"history": {"versions": 5, "regression": {"log_loss": 0.02}}}
    assert not results(against("1.0.0", 0.05, metric="log_loss"), setting=setting)[0].passed
    assert results(against("1.0.0", -0.05, metric="log_loss"), setting=setting)[0].passed


def test_equal_answers_pass():
    assert results(against("1.0.0", 0.0, error=0.0))[0].passed


def test_there_is_no_result_without_a_setting_or_without_versions():
    assert results(against("1.0.0", -0.5), setting={}) == results() == []


@pytest.mark.parametrize(("delta", "error"), [(-0.01, 0.03), (-0.5, math.nan)])
def test_a_loss_that_the_rows_cannot_show_is_not_evaluated(delta, error):
    assert [result.state for result in results(against("1.0.0", delta, error=error))] == ["not evaluated"]


@pytest.mark.parametrize("delta", [-0.5, -0.2])
def test_a_large_loss_fails_even_on_few_rows(delta):
    assert not results(against("1.0.0", delta, error=0.03))[0].passed
