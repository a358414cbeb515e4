import pytest

from pipelines.review.findings import MetricRow
from pipelines.review.gates.plausible import plausible_gate
from pipelines.tables.leak_scores import LeakScores, Score
from tests.engine.review.made_up import evidence


def failed(**fields):
    return {result.name for result in plausible_gate(evidence(**fields)) if not result.passed}


@pytest.mark.parametrize(
    ("task", "row", "passes"),
    [
        ("classification", MetricRow("roc_auc", 0.8, 0.93, 0.13, 0.09, 0.15), True),
        ("classification", MetricRow("roc_auc", 0.8, 0.93, 0.13, 0.11, 0.15), False),
        ("regression", MetricRow("mae", 100.0, 55.0, -45.0, -60.0, -40.0, True), True),
        ("regression", MetricRow("mae", 100.0, 10.0, -90.0, -95.0, -85.0, True), False),
        ("classification", MetricRow("roc_auc", 0.8, 0.5, -0.3, -0.4, -0.2), True),
        ("classification", MetricRow("roc_auc", None, 0.99), True),
        ("classification", MetricRow("roc_auc", 1.0, 1.0, 0.0, 0.0, 0.0), True),
    ],
)
def test_a_gain_fails_if_its_whole_interval_is_beyond_the_limit(task, row, passes):
    assert failed(task=task, metrics=(row,)) == (set() if passes else {"plausible gain"})


def test_a_drop_is_called_no_gain():
    for low, shown in ((-0.4, "no gain"), (0.02, "at least 10%")):
        (result,) = plausible_gate(evidence(metrics=(MetricRow("roc_auc", 0.8, 0.9, 0.1, low, 0.2),)))
        assert result.passed and shown in result.why


def test_a_new_input_may_carry_half_of_the_importance():
    importance = {"price": 0.4, "hint": 0.41, "noise": -0.2}
    assert failed(importance=importance, new_inputs=("hint",)) == {"plausible input hint"}
    assert failed(importance=importance) == set()
    assert failed(importance={**importance, "price": 0.41}, new_inputs=("hint",)) == set()
    assert failed(importance={"hint": 0.0}, new_inputs=("hint",)) == set()


def score(value, error=0.01):
    return Score(value, error)


def test_inputs_that_together_nearly_are_the_target_fail_unless_those_of_the_base_were_as_good():
    assert failed(leak_scores=LeakScores((score(0.9), score(0.995)))) == {"leak all inputs"}
    assert failed(leak_scores=LeakScores((None, score(0.995)))) == {"leak all inputs"}
    assert failed(leak_scores=LeakScores((score(0.992), score(0.995)))) == set()
    assert failed(leak_scores=LeakScores((score(0.6), score(0.95)))) == set()
    assert failed(leak_scores=LeakScores((score(0.9), score(0.95)), new=score(0.995))) == {"leak new inputs"}


def test_an_input_that_became_much_better_than_in_the_base_fails_beyond_its_error():
    def alone(base, head):
        return LeakScores((score(0.9), score(0.9)), alone={"price": (base, head)})

    assert failed(leak_scores=alone(score(0.6), score(0.965))) == {"leak price"}
    assert failed(leak_scores=alone(score(0.6), score(0.75))) == set()
    assert failed(leak_scores=alone(score(0.85, 0.06), score(0.95, 0.06))) == set()


def test_a_person_confirms_with_a_reason_that_the_result_repeats():
    row = MetricRow("roc_auc", 0.8, 0.99, 0.19, 0.18, 0.2)
    (result,) = plausible_gate(evidence(metrics=(row,)))
    assert not result.passed and "allow_gain" in result.why
    (result,) = plausible_gate(evidence(metrics=(row,), allowed_gain="a better sensor"))
    assert result.passed and "a better sensor" in result.why
