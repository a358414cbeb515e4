"""LightGBM and XGBoost as candidates, alone and inside other estimators."""

import subprocess
import sys

import numpy as np
import pytest

from pipelines.cli.errors import InputError
from pipelines.model import features
from pipelines.model.encoding import encode
from pipelines.model.inputs import inputs_of
from pipelines.training import estimators
from tests.engine.fixtures_model import raw_columns
from tests.engine.training.test_estimators import candidate
from tests.engine.training.test_parity import CALIBRATED, IMPUTER, LOGISTIC, PARAMS, RIDGE, SCALER, check, refused

SMALL = {"n_estimators": 30, "random_state": 7}
KINDS = [
    ("lightgbm.LGBMClassifier", "classification"),
    ("xgboost.XGBClassifier", "classification"),
    ("lightgbm.LGBMRegressor", "regression"),
    ("xgboost.XGBRegressor", "regression"),
]
LGBM, XGB = ({"estimator": path, "params": SMALL} for path, _ in KINDS[:2])
LGBM_REGRESSOR, XGB_REGRESSOR = ({"estimator": path, "params": SMALL} for path, _ in KINDS[2:])
LINEAR = {"estimator": LOGISTIC, "params": {"random_state": 7}}


@pytest.mark.parametrize(("path", "task"), KINDS)
@pytest.mark.parametrize("missing", [None, 0])  # in a tenth of the rows, and in requests alone
def test_the_graph_predicts_as_the_estimator_also_where_values_are_missing(path, task, missing):
    check(path, rows=2000, missing=missing, task=task, n_estimators=50, random_state=7)


@pytest.mark.parametrize(("path", "task"), KINDS)
def test_constant_columns_and_categories_unseen_in_training_convert(path, task):
    raw = raw_columns(600)
    raw["items"][:] = 3
    encoded = {item.name: encode(item, raw[item.name]) for item in inputs_of(PARAMS)}
    graph = features.graph(PARAMS, features.vocabulary_of(PARAMS, encoded))
    target = (0.01 * raw["price"] > 0.7).astype(float)
    chosen = candidate(path, **SMALL)
    fitted = estimators.fit("mine", chosen, graph.transform(encoded), target)
    model = estimators.to_graph("mine", chosen, fitted, graph, task)
    unseen = encoded | {"shop": np.full(600, "pier", dtype=object), "items": np.full(600, 40, np.float32)}
    expected = estimators.predict(fitted, graph.transform(unseen).astype(np.float64), task)
    assert np.abs(features.run_graph(model, unseen)[:, 0] - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("path", "objective"), [("lightgbm.LGBMRegressor", "poisson"), ("xgboost.XGBRegressor", "count:poisson")]
)
def test_an_objective_with_a_logarithm_converts(monkeypatch, path, objective):
    fit = estimators.fit
    monkeypatch.setattr(estimators, "fit", lambda name, chosen, rows, target: fit(name, chosen, rows, np.abs(target)))
    check(path, task="regression", objective=objective, **SMALL)


@pytest.mark.parametrize("inner", [LGBM, XGB, LINEAR])
def test_a_calibrated_estimator_converts(inner):
    before = (IMPUTER, SCALER) if inner is LINEAR else ()
    check(CALIBRATED, *before, estimator=inner, method="sigmoid", cv=3)


def test_stacking_voting_and_nested_pipelines_convert():
    both = [["one", LGBM], ["other", XGB]]
    linear = {**LINEAR, "before": [IMPUTER, SCALER]}
    check("sklearn.ensemble.StackingClassifier", estimators=[*both, ["linear", linear]], final_estimator=LINEAR, cv=3)
    check("sklearn.ensemble.VotingClassifier", estimators=both, voting="soft", flatten_transform=False)
    both = [["one", LGBM_REGRESSOR], ["other", XGB_REGRESSOR]]
    ridge = {"estimator": RIDGE, "params": {"random_state": 7}}
    check("sklearn.ensemble.StackingRegressor", task="regression", estimators=both, final_estimator=ridge, cv=3)
    nested = {"estimator": "sklearn.pipeline.Pipeline", "params": {"steps": [["fill", IMPUTER], ["scale", SCALER]]}}
    check(LOGISTIC, nested, random_state=7)


def test_steps_inside_a_calibrated_estimator_are_refused_with_their_place():
    error = refused(CALIBRATED, estimator={**LINEAR, "before": [IMPUTER, SCALER]}, method="sigmoid", cv=3)
    assert error.remedy == "Move the steps of candidates.mine.params.estimator.before to candidates.mine.before."


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("lightgbm.LGBMClassifier", {"boosting_type": "rf"}, "boosting_type: rf cannot be exported"),
        ("lightgbm.LGBMClassifier", {"linear_tree": True}, "linear_tree: True cannot be exported"),
        ("lightgbm.LGBMClassifier", {"zero_as_missing": True}, "zero_as_missing: True cannot be exported"),
        (
            "lightgbm.LGBMClassifier",
            {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
            "predict differently",
        ),
        ("lightgbm.LGBMClassifier", {"reg_sqrt": True}, "reg_sqrt: True cannot be exported"),
        ("xgboost.XGBClassifier", {"num_parallel_tree": 4}, "num_parallel_tree: 4 cannot be exported"),
        ("xgboost.XGBClassifier", {"booster": "dart"}, "booster: dart cannot be exported"),
        ("xgboost.XGBClassifier", {"booster": "gblinear"}, "booster: gblinear cannot be exported"),
        ("xgboost.XGBClassifier", {"objective": "binary:logitraw"}, "Unexpected objective: binary:logitraw"),
        ("xgboost.XGBClassifier", {"early_stopping_rounds": 3}, "validation dataset for early stopping"),
        ("xgboost.XGBClassifier", {"max_depth": "deep"}, "cannot be fitted: Invalid Parameter format for max_depth"),
        ("lightgbm.LGBMClassifier", {"num_leaves": 1}, "num_leaves"),
        ("lightgbm.LGBMClassifier", {"leaves": 8}, "has no leaves"),
        ("xgboost.XGBClassifier", {"leaves": 8}, "has no leaves"),
    ],
)
def test_what_cannot_be_exact_is_refused_with_the_reason(path, params, expected):
    assert expected in str(refused(path, **SMALL, **params))


def test_parameters_of_lightgbm_beyond_its_constructor_are_accepted():
    check("lightgbm.LGBMClassifier", max_bin=63, lambda_l1=0.1, feature_fraction=0.8, **SMALL)


def test_parameters_of_xgboosts_objectives_are_accepted():
    check(KINDS[3][0], task="regression", objective="reg:quantileerror", quantile_alpha=0.5, **SMALL)
    check(KINDS[3][0], task="regression", objective="reg:pseudohubererror", huber_slope=0.5, **SMALL)


def test_an_estimator_with_several_values_a_row_is_refused():
    with pytest.raises(InputError, match="XGBRegressor gives 2 values a row"):
        check(KINDS[3][0], task="regression", objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **SMALL)


def test_a_nested_estimator_is_checked_as_any_other():
    with pytest.raises(
        InputError, match=r"candidates\.mine\.params\.estimators\.0\.1\.params: random_state is missing"
    ):
        stacked = [["one", {"estimator": "lightgbm.LGBMClassifier"}]]
        estimators.build("candidates.mine", candidate("sklearn.ensemble.StackingClassifier", estimators=stacked))
    with pytest.raises(InputError, match=r"candidates\.mine\.params\.estimator.*\n.*parameters: unknown key"):
        wrong = {"estimator": "lightgbm.LGBMClassifier", "parameters": {}}
        estimators.build("candidates.mine", candidate(CALIBRATED, estimator=wrong))


@pytest.mark.parametrize(
    "text",
    ['import ctypes; ctypes.CDLL("libgomp-absent.so.1")', 'raise ValueError("OpenMP is not installed: libomp.dylib")'],
)
def test_a_missing_openmp_is_named_with_its_remedy(tmp_path, monkeypatch, text):
    (tmp_path / "needs_openmp.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"candidates\.mine\.estimator: needs_openmp\.Trees cannot be imported"
    ) as error:
        estimators.build("candidates.mine", candidate("needs_openmp.Trees"))
    assert "apt-get install libgomp1" in error.value.remedy and "brew install libomp" in error.value.remedy


def test_the_libraries_are_imported_only_when_used():
    code = (
        "import sys\n"
        "from tests.engine.training.test_parity import check, BOOSTING, BOOSTED\n"
        "check(BOOSTING, **BOOSTED)\n"
        "print({'lightgbm', 'xgboost', 'onnxmltools'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
