import numpy as np
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.candidates import Candidate
from pipelines.training import estimators


def candidate(path, before=(), **params):
    steps = [{"estimator": step} for step in before]
    return Candidate.model_validate({"estimator": path, "params": params, "before": tuple(steps)}, strict=False)


def refused(chosen):
    with pytest.raises(InputError) as error:
        estimators.build("candidates.mine", chosen)
    assert "candidates.mine" in error.value.remedy
    return str(error.value)


def test_random_state_is_required_if_the_estimator_has_it():
    message = refused(candidate("sklearn.ensemble.RandomForestClassifier", n_estimators=3))
    assert message.startswith("candidates.mine.params: random_state is missing")
    message = refused(candidate("sklearn.ensemble.RandomForestClassifier", random_state=None))
    assert "random_state is missing" in message
    sampled = candidate("sklearn.naive_bayes.GaussianNB", before=["sklearn.preprocessing.QuantileTransformer"])
    assert refused(sampled).startswith("candidates.mine.before.0.params: random_state is missing")
    assert estimators.build("candidates.mine", candidate("sklearn.naive_bayes.GaussianNB"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sklearn.ensemble.RandomForrest", "cannot be imported"),
        ("sklearn.nothing.RandomForestClassifier", "cannot be imported"),
        ("sklearn.metrics.roc_auc_score", "is not a scikit-learn estimator"),
        ("collections.Counter", "is not a scikit-learn estimator"),
    ],
)
def test_a_wrong_import_path_is_refused_with_its_key(path, expected):
    message = refused(candidate(path))
    assert message.startswith("candidates.mine.estimator: ") and path in message and expected in message


def test_an_unknown_parameter_is_refused_by_name():
    message = refused(candidate("sklearn.linear_model.LogisticRegression", c=1.0, random_state=7))
    assert message == "candidates.mine.params: sklearn.linear_model.LogisticRegression has no c"


def fitted(small, chosen):
    features = small.graph.transform(small.encoded)
    target = (np.arange(len(features)) % 2).astype(float)
    return estimators.fit("mine", chosen, np.nan_to_num(features), target)


def test_an_error_of_fit_names_the_candidate(logistic):
    target = (np.arange(400) % 2).astype(float)
    matrix = logistic.graph.transform(logistic.encoded)
    with pytest.raises(InputError, match=r"candidates\.mine: .*LogisticRegression cannot be fitted: .*NaN") as error:
        estimators.fit("mine", candidate("sklearn.linear_model.LogisticRegression", random_state=7), matrix, target)
    assert "SimpleImputer" in error.value.remedy
    with pytest.raises(InputError, match="cannot be fitted"):
        fitted(logistic, candidate("sklearn.linear_model.LogisticRegression", C=-1.0, random_state=7))


@pytest.mark.parametrize(
    ("path", "params", "task", "expected"),
    [
        ("sklearn.svm.LinearSVC", {"random_state": 7}, "classification", "has no predict_proba"),
        ("sklearn.linear_model.RidgeClassifier", {"random_state": 7}, "classification", "has no predict_proba"),
        ("sklearn.linear_model.Ridge", {"random_state": 7}, "classification", "has no predict_proba"),
        ("sklearn.naive_bayes.GaussianNB", {}, "regression", "is not a regressor"),
        ("sklearn.linear_model.RidgeClassifier", {"random_state": 7}, "regression", "is not a regressor"),
        ("sklearn.dummy.DummyClassifier", {"random_state": 7}, "classification", "cannot be exported to ONNX"),
        ("sklearn.dummy.DummyRegressor", {}, "regression", "cannot be exported to ONNX"),
    ],
)
def test_an_estimator_that_cannot_be_exported_is_refused_with_alternatives(logistic, path, params, task, expected):
    chosen = candidate(path, **params)
    with pytest.raises(InputError) as error:
        estimators.to_graph("mine", chosen, fitted(logistic, chosen), logistic.graph, task)
    assert str(error.value).startswith(f"candidates.mine: {path} ") and expected in str(error.value)
    assert "HistGradientBoosting" in error.value.remedy
