"""The table of candidates."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.config.params import parse
from pipelines.review import report
from pipelines.review.candidates import candidate_rows, console_lines, training_seconds
from pipelines.review.changes import param_changes
from tests.engine.fixtures_model import SMALL
from tests.engine.review import samples

SELECTION: dict[str, Any] = {
    "criterion": "roc_auc",
    "winner": "logistic",
    "candidates": {"boosting": {"roc_auc": 0.71, "brier": 0.2}, "logistic": {"roc_auc": 0.75, "brier": None}},
    "intervals": {"boosting": [0.65, 0.76], "logistic": [None, None]},
    "bytes": {"boosting": 250_000, "logistic": 4_000},
}


def rows(base, head):
    return candidate_rows(parse(head).candidates, SELECTION, param_changes(base, head))


def test_the_chosen_candidate_is_first_and_each_says_what_it_is():
    chosen, other = rows(SMALL, SMALL)
    assert (chosen.name, chosen.estimator) == ("logistic", "SimpleImputer → StandardScaler → LogisticRegression")
    assert (other.name, other.estimator, other.size) == ("boosting", "HistGradientBoostingClassifier", 250_000)
    assert (chosen.low, other.low, other.high) == (None, 0.65, 0.76)
    assert chosen.changed == other.changed == ""


def test_parameters_that_differ_from_the_base_are_named_with_both_values():
    head = SMALL.replace("max_iter: 15,", "max_iter: 30,").replace("max_leaf_nodes: 8, ", "learning_rate: 0.2, ")
    chosen, other = rows(SMALL, head)
    assert other.changed == "learning_rate — → 0.2; max_iter 15 → 30; max_leaf_nodes 8 → —"
    assert chosen.changed == ""


def test_a_candidate_that_the_base_lacks_is_new():
    base = SMALL.replace("  boosting:\n", "  trees:\n")
    assert [row.changed for row in rows(base, SMALL)] == ["", "new"]


STACK = """
  stack:
    estimator: sklearn.ensemble.StackingClassifier
    params:
      estimators:
        - - trees
          - {estimator: lightgbm.LGBMClassifier, params: {n_estimators: 50, random_state: 7}}
        - - linear
          - estimator: sklearn.linear_model.LogisticRegression
            before: [{estimator: sklearn.impute.SimpleImputer, params: {strategy: mean}}]
      final_estimator: {estimator: sklearn.linear_model.LogisticRegression, params: {C: 1.0}}
"""
STACKED = SMALL.replace("candidates:\n", f"candidates:{STACK}")
LINEAR = STACK[STACK.index("        - - linear") : STACK.index("      final_estimator")]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("n_estimators: 50", "n_estimators: 80", "estimators.trees.n_estimators 50 → 80"),
        ("strategy: mean", "strategy: median", 'estimators.linear.before.0.strategy "mean" → "median"'),
        ("{C: 1.0}", "{C: 2.0}", "final_estimator.C 1.0 → 2.0"),
        (
            "lightgbm.LGBM",
            "xgboost.XGB",
            'estimators.trees.estimator "lightgbm.LGBMClassifier" → "xgboost.XGBClassifier"',
        ),
        (LINEAR, "", "estimators.linear removed"),
        (STACK, "\n", None),
    ],
)
def test_a_stack_names_its_members_and_what_differs_in_them(old, new, changed):
    other = STACKED.replace(old, new)
    assert other != STACKED
    if changed is None:
        assert stacked(other, STACKED).changed == "new"
        return
    assert stacked(STACKED, STACKED).estimator == (
        "StackingClassifier (LGBMClassifier, SimpleImputer → LogisticRegression, LogisticRegression)"
    )
    assert stacked(STACKED, other).changed == changed
    if old == LINEAR:
        assert stacked(other, STACKED).changed == "estimators.linear new"


def stacked(base, head):
    selection = SELECTION | {
        key: {**SELECTION[key], "stack": SELECTION[key]["boosting"]} for key in ("candidates", "intervals", "bytes")
    }
    return candidate_rows(parse(head).candidates, selection, param_changes(base, head))[-1]


def test_the_console_names_the_score_with_its_interval_the_size_and_the_changes():
    lines = console_lines(samples.passing().to_json())
    assert "average precision" in lines[0]
    assert lines[1].startswith("  boosting  0.8080 (0.7702 to 0.8411), HistGradientBoostingClassifier, 0.4 MB, ")
    assert lines[1].endswith("learning_rate 0.1 → 0.06; max_iter 150 → 250 (chosen)")
    assert lines[3].startswith("  logistic  0.4844, SimpleImputer → ")
    assert console_lines(replace(samples.passing(), candidates=()).to_json()) == []


def test_comment_and_page_show_the_time_only_of_what_this_review_trained():
    findings = samples.passing()
    assert training_seconds(findings) == {"boosting": 6.3}
    for text in (report.markdown(findings), report.page(findings)):
        assert "0.7702 to 0.8411" in text and "6.3 s" in text and "cached" in text
        assert "learning_rate 0.1 → 0.06; max_iter 150 → 250" in text.replace("\\", "")
