import numpy as np
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.paths import CANDIDATES
from pipelines.training import train
from tests.engine.training.conftest import Prepare, orders

FOREST = "sklearn.ensemble.RandomForestClassifier"


def test_a_forest_whose_onnx_file_treats_missing_values_differently_is_not_written(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [i / 10 for i in range(600)]
    draw = np.random.default_rng(7)
    price = [None if value < 20 else value for value in draw.uniform(0, 100, 600)]
    prepare(
        orders(days, (draw.random(600) < 0.5).tolist(), price),
        {},
        schema={"columns": {"price": {"nullable": True}}},
        candidates={"forest": {"estimator": FOREST, "params": {"n_estimators": 10, "random_state": 7}}},
    )
    monkeypatch.setattr("sys.argv", ["train", "forest"])
    with pytest.raises(InputError, match="predict differently") as error:
        train.main()
    assert error.value.code == 2 and "SimpleImputer" in error.value.remedy
    assert not CANDIDATES.joinpath("forest.onnx").exists()
