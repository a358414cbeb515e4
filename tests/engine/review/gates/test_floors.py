from pipelines.review.findings import MetricRow
from pipelines.review.gates.metrics import floors_gate
from tests.engine.review.made_up import evidence


def floor(metric, head, limit, task="classification"):
    sections = {"gates": {"floors": {metric: limit}}}
    (result,) = floors_gate(evidence(task, sections, metrics=(MetricRow(metric, 0.8, head),)))
    return result


def test_a_floor_passes_up_to_the_limit_itself_whichever_way_is_better():
    assert floor("roc_auc", 0.7, 0.7).passed
    assert not floor("roc_auc", 0.6999, 0.7).passed
    assert floor("log_loss", 0.3, 0.3).passed
    assert not floor("log_loss", 0.3001, 0.3).passed
    assert floor("mae", 0.9, 1.0, "regression").passed


def test_the_limit_is_a_maximum_where_lower_is_better():
    assert floor("roc_auc", 0.65, 0.7).why == "roc_auc is 0.65; minimum is 0.7"
    assert floor("mae", 61_234.5, 60_000, "regression").why == "mae is 61,234; maximum is 60,000"


def test_a_metric_that_is_not_defined_fails():
    result = floor("roc_auc", None, 0.1)
    assert not result.passed and result.value is None
    assert result.why == "roc_auc is not defined; minimum is 0.1"
