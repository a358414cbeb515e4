"""The candidates and the estimator that docs/models.md shows are fitted and converted as they stand there."""

import re
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.read import validate
from pipelines.config.search import Search
from pipelines.training import estimators
from testing.repository import ROOT
from tests.engine.training.test_parity import (
    BOOSTED,
    BOOSTING,
    CALIBRATED,
    IMPUTER,
    RIDGE,
    SCALER,
    TREES,
    check,
)

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
MODULE = next(re.finditer(r"```python\n(.*?)```", PAGE, re.DOTALL))[1]
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
CANDIDATES = {name: shown for block in BLOCKS for name, shown in block.get("candidates", {}).items()}


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_of_the_page_converts_exactly(name, tmp_path, monkeypatch):
    (tmp_path / "team_models").mkdir()
    (tmp_path / "team_models" / "log_target.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    task = "classification"
    if name == "log_trees":
        task, fit = "regression", estimators.fit
        monkeypatch.setattr(
            estimators, "fit", lambda name, chosen, rows, target: fit(name, chosen, rows, np.abs(target))
        )
    shown = CANDIDATES[name]
    check(shown["estimator"], *shown.get("before", ()), task=task, **shown.get("params", {}))


def test_the_page_names_the_module_that_its_candidate_imports():
    assert len(CANDIDATES) == 5
    assert CANDIDATES["log_trees"]["estimator"].replace(".", "/").removesuffix("/LogTarget") + ".py" in PAGE


def test_the_search_that_the_page_shows_is_valid():
    (shown,) = [block["search"] for block in BLOCKS if "search" in block]
    assert set(validate(Search, shown, "the page").spaces["boosting"]) == {"max_iter", "learning_rate", "max_features"}


def shown_refusals():
    table = PAGE[PAGE.index("| estimator | why it is refused |") : PAGE.index("**Equal bytes.**")]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.strip().splitlines()[2:]]


LGBM, XGB = "lightgbm.LGBMClassifier", "xgboost.XGBClassifier"
SMALL = {"n_estimators": 5, "random_state": 7}
FOREST, REGRESSION = "sklearn.ensemble.RandomForestClassifier", {"task": "regression"}
ONE, OTHER = ({"estimator": path, "params": SMALL} for path in (LGBM, XGB))
LINEAR = {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"random_state": 7}}
# Each row of the table of what is refused: candidates that it means.
REFUSED: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "RandomForest, ExtraTrees, DecisionTree, Bagging": [((path,), {"rows": 4000, **TREES[path]}) for path in TREES],
    "HistGradientBoosting with `categorical_features`": [((BOOSTING,), {"categorical_features": [3, 4, 5], **BOOSTED})],
    "HistGradientBoosting or a forest after `StandardScaler`": [
        ((BOOSTING, SCALER), BOOSTED),
        ((FOREST, IMPUTER, SCALER), TREES[FOREST]),
    ],
    "CalibratedClassifierCV with `method: isotonic`": [((CALIBRATED, IMPUTER, SCALER), {"method": "isotonic"})],
    "CalibratedClassifierCV of an estimator with `before`": [
        ((CALIBRATED,), {"estimator": {**LINEAR, "before": [IMPUTER, SCALER]}, "method": "sigmoid", "cv": 3})
    ],
    "VotingClassifier with `voting: soft`": [
        (("sklearn.ensemble.VotingClassifier",), {"estimators": [["one", ONE], ["other", OTHER]], "voting": "soft"})
    ],
    "TransformedTargetRegressor": [
        (
            ("sklearn.compose.TransformedTargetRegressor", IMPUTER),
            {"regressor": {"estimator": RIDGE, "params": {"random_state": 7}}, **REGRESSION},
        )
    ],
    "LightGBM with `boosting_type: rf`, `linear_tree`, `zero_as_missing`, `reg_sqrt` or `sigmoid`": [
        ((LGBM,), {**SMALL, **params})
        for params in (
            {"boosting_type": "rf"},
            {"linear_tree": True},
            {"zero_as_missing": True},
            {"reg_sqrt": True},
            {"sigmoid": 2.0},
        )
    ],
    "LightGBM with `objective: mape` or `fair`": [
        (("lightgbm.LGBMRegressor",), {**SMALL, **REGRESSION, "objective": name}) for name in ("mape", "fair")
    ],
    "XGBoost with `booster: dart` or `gblinear`, and its random forests (also `num_parallel_tree` above 1)": [
        ((XGB,), {**SMALL, "booster": "dart"}),
        ((XGB,), {**SMALL, "booster": "gblinear"}),
        (("xgboost.XGBRFClassifier",), SMALL),
        ((XGB,), {**SMALL, "num_parallel_tree": 2}),
    ],
    "XGBoost with `missing` other than NaN": [
        ((CALIBRATED,), {"estimator": {"estimator": XGB, "params": {**SMALL, "missing": -1.0}}, "cv": 3})
    ],
    "XGBoost with several values of `quantile_alpha`": [
        (
            ("xgboost.XGBRegressor",),
            {**SMALL, **REGRESSION, "objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},
        )
    ],
    "LightGBM and XGBoost with early stopping": [
        ((path,), {**SMALL, "early_stopping_round" + "s" * (path == XGB): 3}) for path in (LGBM, XGB)
    ],
}


def test_the_table_of_refusals_has_these_rows():
    assert shown_refusals() == list(REFUSED)


@pytest.mark.parametrize(("path", "params"), [example for examples in REFUSED.values() for example in examples])
def test_what_the_page_says_is_refused(path, params):
    with pytest.raises(InputError):
        check(*path, **params)


@pytest.mark.parametrize("objective", ["mae", "huber", "quantile", "poisson", "gamma", "tweedie"])
def test_an_objective_that_the_page_names_instead_converts(monkeypatch, objective):
    assert f"`{objective}`" in PAGE
    fit = estimators.fit
    monkeypatch.setattr(estimators, "fit", lambda name, chosen, rows, target: fit(name, chosen, rows, np.abs(target)))
    check("lightgbm.LGBMRegressor", **SMALL, **REGRESSION, objective=objective)


def test_the_commands_of_the_page_are_those_that_tests_run():
    """`dvc exp` in tests/engine/reproduce/test_experiments.py; `git switch` is what a search prints."""
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert commands == [
        "dvc exp run -S candidates.boosting.params.max_iter=200",
        "dvc exp show --only-changed",
        "git switch tune-boosting && make review",
    ]
