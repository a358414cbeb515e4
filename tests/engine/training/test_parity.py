from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.candidates import Candidate
from pipelines.config.params import parse
from pipelines.model import features
from pipelines.model.encoding import encode
from pipelines.model.inputs import inputs_of
from pipelines.training import estimators, parity
from tests.engine.fixtures_model import SMALL, raw_columns

PARAMS = parse(SMALL)
IMPUTER = {"estimator": "sklearn.impute.SimpleImputer", "params": {"strategy": "median", "keep_empty_features": True}}
SCALER = {"estimator": "sklearn.preprocessing.StandardScaler"}
TREES = {
    "sklearn.ensemble.RandomForestClassifier": {"n_estimators": 10, "random_state": 7},
    "sklearn.ensemble.ExtraTreesClassifier": {"n_estimators": 10, "random_state": 7},
    "sklearn.ensemble.BaggingClassifier": {"random_state": 7},
    "sklearn.tree.DecisionTreeClassifier": {"random_state": 7},
}
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
BOOSTED = {"max_iter": 20, "random_state": 7}
LOGISTIC = "sklearn.linear_model.LogisticRegression"
RIDGE = "sklearn.linear_model.Ridge"
CALIBRATED = "sklearn.calibration.CalibratedClassifierCV"


def check(path, *before, rows=400, missing=None, task="classification", compared_with=lambda target: target, **params):
    """Fit, convert and compare; only the first `missing` rows lack values, if it is given."""
    raw = raw_columns(rows)
    encoded = {item.name: encode(item, raw[item.name]) for item in inputs_of(PARAMS)}
    if missing is not None:
        for name in ("usual_price", "gift"):
            encoded[name] = np.nan_to_num(encoded[name], nan=1.0)
            encoded[name][:missing] = np.nan
    graph = features.graph(PARAMS, features.vocabulary_of(PARAMS, encoded))
    matrix = graph.transform(encoded)
    target = 0.01 * raw["price"] + (raw["size"] != raw["usual_size"]) - 1
    target = target + np.random.default_rng(1).normal(0, 0.7, rows)
    if task == "classification":
        target = (target > 0).astype(float)
    candidate = Candidate.model_validate({"estimator": path, "params": params, "before": before}, strict=False)
    chosen = PARAMS.model_copy(update={"candidates": {"mine": candidate}, "task": task})
    fitted = estimators.fit("mine", candidate, matrix, target)
    model = estimators.to_graph("mine", candidate, fitted, graph, task)
    compared = SimpleNamespace(inputs=encoded, target=compared_with(target))
    parity.check(chosen, "mine", fitted, model, graph, compared, matrix)


def refused(*arguments, **keywords):
    with pytest.raises(InputError) as error:
        check(*arguments, **keywords)
    assert error.value.code == 2 and "candidates.mine" in error.value.remedy
    return error.value


# In 5 of 4,000 rows, and in requests alone.
@pytest.mark.parametrize(("path", "missing"), [*((path, 5) for path in TREES), (next(iter(TREES)), 0)])
def test_trees_on_missing_values_are_refused_without_an_imputer_and_accepted_with_one(path, missing):
    error = refused(path, rows=4000, missing=missing, **TREES[path])
    assert path in str(error) and "100% of these rows have a missing value" in str(error)
    assert "SimpleImputer" in error.remedy
    check(path, IMPUTER, rows=4000, missing=missing, **TREES[path])


def test_boosting_on_categories_is_refused_and_accepted_on_one_hot_features():
    error = refused(BOOSTING, categorical_features=[3, 4, 5], **BOOSTED)
    assert BOOSTING in str(error) and "categorical_features" in error.remedy
    check(BOOSTING, **BOOSTED)


def test_isotonic_calibration_is_refused_and_sigmoid_accepted():
    error = refused(CALIBRATED, IMPUTER, SCALER, method="isotonic")
    assert CALIBRATED in str(error) and "sigmoid" in error.remedy
    check(CALIBRATED, IMPUTER, SCALER, method="sigmoid")


def test_a_few_rows_on_a_threshold_may_differ(monkeypatch):
    check(BOOSTING, SCALER, rows=4000, missing=0, **BOOSTED)
    assert "Remove StandardScaler" in refused(BOOSTING, SCALER, rows=400, **BOOSTED).remedy
    monkeypatch.setattr(parity, "ON_THRESHOLD", 0.0)
    error = refused(BOOSTING, SCALER, rows=4000, missing=0, **BOOSTED)
    assert "training rows differ" in str(error) and "0% of these rows have a missing value" in str(error)


def shift_predictions(monkeypatch, shift, rows=slice(None)):
    """Let the ONNX file predict `shift` more in these rows."""
    run = features.run_graph

    def shifted(*arguments):
        values = run(*arguments)
        values[rows] += shift
        return values

    monkeypatch.setattr(parity, "run_graph", shifted)


def test_another_row_that_differs_is_refused_despite_rows_on_a_threshold(monkeypatch):
    shift_predictions(monkeypatch, 0.3, rows=0)
    refused(BOOSTING, SCALER, rows=4000, missing=0, **BOOSTED)


def test_a_row_with_a_missing_value_must_not_differ(monkeypatch):
    shift_predictions(monkeypatch, 0.01, rows=0)
    monkeypatch.setattr(parity, "_moved", lambda fitted, rows, *_: np.stack([np.zeros(len(rows)), np.ones(len(rows))]))
    check(BOOSTING, rows=400, missing=0, **BOOSTED)
    assert "100% of these rows have a missing value" in str(refused(BOOSTING, rows=400, missing=1, **BOOSTED))


def test_features_move_by_a_few_roundings_of_float32():
    first_feature = SimpleNamespace(predict=lambda rows: rows[:, 0])
    moved = parity._moved(first_feature, np.array([[1.0]]), np.zeros(1), "regression")
    assert 2**-23 < np.abs(moved - 1).max() < 2**-19


def test_a_sentinel_in_one_row_does_not_widen_the_rounding_of_the_others(monkeypatch):
    sizes = []
    moved, without_sentinel = parity._moved, raw_columns

    def recorded(fitted, rows, size, task):
        sizes.append(size)
        return moved(fitted, rows, size, task)

    def with_sentinel(rows):
        raw = without_sentinel(rows)
        raw["price"][7] = 1e12
        return raw

    monkeypatch.setattr(parity, "_moved", recorded)
    monkeypatch.setitem(globals(), "raw_columns", with_sentinel)
    shift_predictions(monkeypatch, 0.3, rows=0)
    refused(BOOSTING, missing=0, **BOOSTED)
    assert len(sizes) == 1 and sizes[0].max() < 1e4


@pytest.mark.parametrize(("path", "task", "shift"), [(LOGISTIC, "classification", 0.005), (RIDGE, "regression", 0.02)])
def test_a_small_shift_of_all_predictions_is_refused(monkeypatch, path, task, shift):
    shift_predictions(monkeypatch, shift)
    refused(path, IMPUTER, SCALER, task=task, random_state=7)


def replace_first(target, value, rows=1):
    return np.where(np.arange(len(target)) < rows, value, target)


def test_an_extreme_target_value_does_not_widen_the_tolerance(monkeypatch):
    shift_predictions(monkeypatch, 0.02)
    refused(RIDGE, IMPUTER, SCALER, task="regression", compared_with=lambda t: replace_first(t, 1e9), random_state=7)


def test_the_spread_of_a_mostly_constant_target_is_its_standard_deviation():
    mostly_zero = lambda target: replace_first(np.zeros(len(target)), 10.0, rows=40)  # noqa: E731
    check(RIDGE, IMPUTER, SCALER, task="regression", compared_with=mostly_zero, random_state=7)


@pytest.mark.parametrize("path", ["sklearn.ensemble.RandomForestClassifier", LOGISTIC])
def test_an_imputer_with_an_indicator_is_refused(path):
    params = {"keep_empty_features": True, "add_indicator": True}
    assert "add_indicator" in refused(path, {**IMPUTER, "params": params}, random_state=7).remedy


def test_an_imputer_without_onnx_conversion_is_refused():
    imputer = {"estimator": "sklearn.impute.KNNImputer", "params": {"keep_empty_features": True}}
    error = refused(LOGISTIC, imputer, random_state=7)
    assert "cannot be exported to ONNX: No opset import for domain" in str(error)
    assert "SimpleImputer" in error.remedy


def test_the_remedy_names_no_absent_scaler_and_not_the_estimator_in_use(monkeypatch):
    shift_predictions(monkeypatch, 0.3)
    remedy = refused(BOOSTING, IMPUTER, missing=0, **BOOSTED).remedy
    assert "Scaler" not in remedy and "HistGradientBoosting" not in remedy and "LogisticRegression" in remedy
    remedy = refused(RIDGE, IMPUTER, missing=0, task="regression", random_state=7).remedy
    assert "HistGradientBoosting" in remedy and "Ridge" not in remedy and "LogisticRegression" not in remedy


def test_an_estimator_that_fails_on_allowed_missing_values_is_refused():
    error = refused(LOGISTIC, SCALER, missing=0, random_state=7)
    assert "the schema allows" in str(error) and "SimpleImputer" in error.remedy
    check(LOGISTIC, IMPUTER, SCALER, missing=0, random_state=7)


def test_the_tolerance_of_a_regression_is_relative_to_the_spread_of_its_target():
    forest, trees = "sklearn.ensemble.RandomForestRegressor", {"n_estimators": 10, "random_state": 7}
    assert forest in str(refused(forest, task="regression", **trees))
    check(forest, IMPUTER, task="regression", **trees)
    check("sklearn.linear_model.Ridge", IMPUTER, task="regression", random_state=7)


def test_a_graph_that_returns_nan_is_refused(monkeypatch):
    monkeypatch.setattr(parity, "run_graph", lambda _, columns: np.full((len(columns["price"]), 1), np.nan))
    assert "100.00% of 400" in str(refused(BOOSTING, **BOOSTED))


def test_a_sample_of_many_rows_holds_missing_values_rare_categories_and_ends(monkeypatch):
    monkeypatch.setattr(parity, "ROWS", 200)
    raw = raw_columns(4000)
    raw["price"][1234], raw["price"][2345] = 1000.0, 0.0
    raw["usual_price"] = np.nan_to_num(raw["usual_price"], nan=1.0)
    raw["usual_price"][777] = np.nan
    raw["shop"][3333] = "pier"
    inputs = inputs_of(PARAMS)
    encoded = {item.name: encode(item, raw[item.name]) for item in inputs}
    matrix = features.graph(PARAMS, features.vocabulary_of(PARAMS, encoded)).transform(encoded)
    sample = parity._sample(inputs, encoded, matrix)
    assert len(sample["price"]) < 400
    assert sample["price"].max() == 1000 and sample["price"].min() == 0
    assert np.isnan(sample["usual_price"]).sum() == 1 and "pier" in sample["shop"]
