"""The space of a search: what is refused, and what a trial's candidate is."""

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.candidates import Candidate
from pipelines.config.params import load, parse
from pipelines.config.search import Space
from pipelines.tune.problem import Problem
from pipelines.tune.space import current_values, with_values
from tests.engine.fixtures_model import SMALL
from tests.engine.tune.conftest import tune

IMPUTER = {"estimator": "sklearn.impute.SimpleImputer", "params": {"strategy": "median", "keep_empty_features": True}}


def refused(spaces):
    document = yaml.safe_load(SMALL) | {"search": {"spaces": spaces}}
    with pytest.raises(InputError) as error:
        parse(yaml.safe_dump(document))
    return str(error.value)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"from": 3, "to": 1}, "from must be less than to"),
        ({"from": 0.0, "to": 1.0, "log": True}, "log needs a range above 0"),
        ({"from": 1}, "give values, or a range by from and to"),
        ({"values": [1, 2], "from": 1}, "not both"),
        ({"values": [1]}, "at least 2 items"),
        ({"from": "low", "to": 2}, "from"),
        ({"least": 1, "to": 2}, "least: unknown key"),
    ],
)
def test_a_wrong_space_is_refused_with_its_path(space, expected):
    message = refused({"boosting": {"max_iter": space}})
    assert "search.spaces.boosting.max_iter" in message and expected in message


def test_a_space_of_no_candidate_is_refused():
    assert "search.spaces.trees: is not in candidates" in refused({"trees": {"depth": {"from": 1, "to": 2}}})


@pytest.mark.repository
@pytest.mark.parametrize(
    ("key", "space", "expected"),
    [
        ("depth", {"from": 1, "to": 5}, "has no depth"),
        ("max_iter", {"from": 0.5, "to": 5.5}, "max_iter"),
        ("learning_rate", {"from": -1.0, "to": 0.5}, "learning_rate"),
        ("learning_rate", {"values": [0.1, "fast"]}, "learning_rate"),
        ("before.0.params.strategy", {"values": ["mean", "median"]}, "candidates.boosting has no before.0.params"),
        ("params.estimator.params.C", {"from": 0.1, "to": 1.0}, "candidates.boosting has no params.estimator.params"),
    ],
)
def test_a_space_that_the_estimator_does_not_fit_is_refused_before_the_first_trial(
    problem, monkeypatch, key, space, expected
):
    problem(search={"spaces": {"boosting": {key: {"log": None, **space} if key == "learning_rate" else space}}})
    monkeypatch.setattr(Problem, "score", lambda *_: pytest.fail("a trial"))
    with pytest.raises(InputError) as error:
        tune("boosting", 3, None)
    assert f"search.spaces.boosting.{key}" in str(error.value) and expected in str(error.value)


def test_names_and_paths_lead_to_parameters_steps_and_nested_estimators():
    inner = {"estimator": "lightgbm.LGBMClassifier", "params": {"num_leaves": 31}}
    candidate = Candidate.model_validate(
        {
            "estimator": "sklearn.calibration.CalibratedClassifierCV",
            "params": {"cv": 3, "estimator": inner},
            "before": ({"estimator": IMPUTER["estimator"], "params": IMPUTER["params"]},),
        }
    )
    values = {"cv": 5, "params.estimator.params.num_leaves": 8, "before.0.params.strategy": "mean", "method": "sigmoid"}
    changed = with_values("mine", candidate, values).model_dump(mode="json")
    assert changed["params"] == {"cv": 5, "estimator": inner | {"params": {"num_leaves": 8}}, "method": "sigmoid"}
    assert changed["before"][0]["params"]["strategy"] == "mean"
    spaces = {key: Space(values=(1, 2)) for key in values}
    current = current_values(candidate, spaces)
    assert current == {"cv": 3, "params.estimator.params.num_leaves": 31, "before.0.params.strategy": "median"}


@pytest.mark.repository
def test_decimals_are_searched_with_four_digits(problem):
    problem()
    tune("boosting", 3, None)
    assert load().search.spaces["boosting"]["learning_rate"].log
    import optuna

    (name,) = optuna.get_all_study_names("sqlite:///.mainline/search/boosting.db")
    for trial in optuna.load_study(study_name=name, storage="sqlite:///.mainline/search/boosting.db").get_trials():
        rate = trial.user_attrs["values"]["learning_rate"]
        assert 0.03 <= rate <= 0.3 and rate == float(f"{rate:.4g}")
