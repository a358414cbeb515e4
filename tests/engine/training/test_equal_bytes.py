"""The same rows give the same file on every processor and with any number of threads, or the review names who does not.

As a program it trains five kinds of candidates and prints the md5 of each file.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.ensemble import ExtraTreesClassifier

from pipelines.config.params import parse
from pipelines.model import features
from pipelines.model.encoding import encode
from pipelines.model.inputs import inputs_of
from pipelines.training import estimators, select, split, train
from tests.engine.fixtures_model import SMALL, raw_columns

IMPUTER = {"estimator": "sklearn.impute.SimpleImputer", "params": {"strategy": "median", "keep_empty_features": True}}
CANDIDATES = {
    "boosting": {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "params": {"max_iter": 20, "early_stopping": False, "random_state": 7},
    },
    "forest": {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "params": {"n_estimators": 10, "max_depth": 8, "n_jobs": -1, "random_state": 7},
        "before": [IMPUTER],
    },
    "logistic": {
        "estimator": "sklearn.linear_model.LogisticRegression",
        "params": {"C": 0.5, "max_iter": 1000, "random_state": 7},
        "before": [IMPUTER, {"estimator": "sklearn.preprocessing.StandardScaler"}],
    },
    "lightgbm": {
        "estimator": "lightgbm.LGBMClassifier",
        "params": {"n_estimators": 20, "subsample": 0.8, "subsample_freq": 1, "random_state": 7},
    },
    "xgboost": {
        "estimator": "xgboost.XGBClassifier",
        "params": {"n_estimators": 20, "subsample": 0.8, "random_state": 7},
    },
}
ROWS = 4000
X86 = platform.machine().lower() in ("x86_64", "amd64")
KERNELS = ("Prescott", "SkylakeX") if X86 else ("ARMV8", "NEOVERSEV1")


class Unseeded:
    """A team's own estimator, which draws at random and takes no random_state."""

    def __new__(cls):
        return ExtraTreesClassifier(n_estimators=5)

    def fit(self, features, target): ...


def params_with(candidates):
    return parse(yaml.safe_dump(yaml.safe_load(SMALL) | {"candidates": candidates}))


def table(rows=ROWS):
    raw = raw_columns(rows)
    noise = np.random.default_rng(1).normal(0, 0.7, rows)
    return raw, 0.01 * raw["price"] + (raw["size"] != raw["usual_size"]) - 1 + noise > 0


def matrix_of(params, raw):
    encoded = {item.name: encode(item, raw[item.name]) for item in inputs_of(params)}
    graph = features.graph(params, features.vocabulary_of(params, encoded))
    return graph, graph.transform(encoded)


def md5s() -> dict[str, str]:
    params = params_with(CANDIDATES)
    raw, target = table()
    graph, matrix = matrix_of(params, raw)
    digests = {}
    for name, candidate in params.candidates.items():
        fitted = estimators.fit(name, candidate, matrix, target.astype(float))
        model = estimators.to_graph(name, candidate, fitted, graph, params.task)
        digests[name] = hashlib.md5(model.SerializeToString(deterministic=True)).hexdigest()
    return digests


@pytest.mark.repository
def test_each_candidate_has_equal_bytes_under_every_kernel_and_number_of_threads():
    quiet = {"OMP_WAIT_POLICY": "passive"}  # waiting threads spin otherwise, on the cores of the others
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.training.test_equal_bytes"],
            env={**os.environ, **quiet, "OPENBLAS_CORETYPE": kernel, "OMP_NUM_THREADS": threads},
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for kernel, threads in zip(KERNELS, ("1", "4"), strict=True)
    ]
    printed = [json.loads(process.communicate()[0]) for process in processes]
    assert [result["threads"] for result in printed] == [1, 4]
    if X86:  # a processor that lacks a kernel's instructions takes an older kernel
        assert len({result["kernel"] for result in printed}) > 1
    for name in CANDIDATES:
        assert len({result["md5s"][name] for result in printed}) == 1, (name, printed)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_is_reproducible(name):
    params = params_with(CANDIDATES)
    raw, target = table()
    graph, matrix = matrix_of(params, raw)
    assert estimators.is_reproducible(name, params.candidates[name], graph, matrix, target.astype(float), params.task)


def test_an_estimator_without_a_seed_is_named_by_the_selection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unseeded = {"estimator": f"{__name__}.Unseeded", "before": [IMPUTER]}
    document = yaml.safe_load(SMALL) | {"candidates": {"logistic": CANDIDATES["logistic"], "unseeded": unseeded}}
    Path("params.yaml").write_text(yaml.safe_dump(document))
    raw, target = table(600)
    columns = {name: pa.array(values.tolist(), from_pandas=True) for name, values in raw.items()}
    columns |= {"order_id": [f"o{i}" for i in range(600)], "returned": target}
    Path("prepared").mkdir()
    pq.write_table(pa.table(columns), "prepared/orders.parquet")
    split.main()
    for name in document["candidates"]:
        monkeypatch.setattr(sys, "argv", ["train", name])
        train.main()
    select.main()
    assert json.loads(Path("reports/candidates.json").read_text())["not_reproducible"] == ["unseeded"]


if __name__ == "__main__":
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(int(os.environ["OMP_NUM_THREADS"])):  # OpenBLAS itself takes at most one thread a core
        made = md5s()
        blas = next(pool for pool in threadpool_info() if pool["user_api"] == "blas")
    print(json.dumps({"kernel": blas.get("architecture"), "threads": blas["num_threads"], "md5s": made}))
