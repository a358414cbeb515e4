"""Small models for tests: a schema with a column of each type, a few hundred made-up rows, two estimators."""

import resource
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli.files import write_bytes, write_json
from pipelines.config.params import parse
from pipelines.model import features
from pipelines.model.encoding import Columns, encode
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature

SMALL = """
model_name: orders
task: classification
schema:
  key: order_id
  target: returned
  positive: "true"
  event_time: ordered_at
  columns:
    order_id: {type: identifier}
    ordered_at: {type: timestamp}
    price: {type: number, min: 0, max: 1000}
    usual_price: {type: number, min: 0, nullable: true}
    items: {type: integer, min: 1, max: 50}
    size: {type: category, allowed: [S, M, L]}
    usual_size: {type: category, allowed: [S, M, L], nullable: true}
    shop: {type: category, nullable: true}
    region: {type: category, allowed: [north, south], sensitive: true}
    gift: {type: boolean, nullable: true}
    returned: {type: boolean, nullable: true}
ingest: {kind: files, paths: [orders.csv]}
validation: {max_missing: 0.5, max_share: 0.99, leak_score: 0.99, min_rows: 10}
split: {by: time, test_days: 10, validation_days: 10}
features:
  use: [price, usual_price, items, size, shop, region, gift]
  derive:
    log_price: {op: log1p, of: price}
    hour: {op: hour, of: ordered_at}
    weekday: {op: weekday, of: ordered_at}
    is_weekend: {op: is_weekend, of: ordered_at}
    price_to_usual: {op: ratio, of: price, to: usual_price}
    other_size: {op: differs, of: size, to: usual_size}
candidates:
  logistic:
    estimator: sklearn.linear_model.LogisticRegression
    params: {max_iter: 1000, random_state: 7}
    before:
      - {estimator: sklearn.impute.SimpleImputer, params: {strategy: median, keep_empty_features: true}}
      - {estimator: sklearn.preprocessing.StandardScaler}
  boosting:
    estimator: sklearn.ensemble.HistGradientBoostingClassifier
    params: {max_iter: 15, max_leaf_nodes: 8, min_samples_leaf: 5, early_stopping: false, random_state: 7}
selection: {metric: roc_auc}
value: null
gates:
  headline: roc_auc
  resamples: 200
  when_unclear: block
  seed: 7
  floors: {roc_auc: 0.6}
  regression: {roc_auc: 0.05}
  scoring_time_ratio: 3.0
  max_model_mb: 5
slices: {metric: roc_auc, min_support: 20, tolerance: 0.1, by: {size: {column: size}}}
serving:
  base_image: example.org/python:3@sha256:0000000000000000000000000000000000000000000000000000000000000000
  max_batch_rows: 100
  max_body_mb: 1
  timeout_seconds: 5
retention: {keep_last: 3}
"""
ROWS = 400


def raw_columns(rows: int = ROWS, seed: int = 7) -> dict[str, np.ndarray]:
    """Made-up raw values per input, shape (rows,) each; None or NaN where missing."""
    draw = np.random.default_rng(seed)
    price = np.round(draw.gamma(2.0, 40.0, rows).clip(0, 1000), 2)

    def words(allowed, share=0.0):
        picked = draw.choice(np.array(allowed, dtype=object), rows)
        picked[draw.random(rows) < share] = None
        return picked

    gift = draw.choice(np.array([True, False, None], dtype=object), rows)
    return {
        "ordered_at": np.datetime64("2026-01-01", "s") + draw.integers(0, 90 * 86_400, rows),
        "price": price,
        "usual_price": np.where(draw.random(rows) < 0.1, np.nan, np.round(price * draw.uniform(0.3, 2, rows), 2)),
        "items": draw.integers(1, 20, rows),
        "size": words(["S", "M", "L"]),
        "usual_size": words(["S", "M", "L"], 0.1),
        "shop": words(["web", "city", "mall"], 0.1),
        "region": words(["north", "south"]),
        "gift": gift,
    }


@dataclass(frozen=True)
class SmallModel:
    """A model on disk, the fitted pipeline that it was exported from, and rows to score."""

    params: Any
    model: Path
    signature: Path
    fitted: Any
    graph: features.FeatureGraph
    raw: dict[str, np.ndarray]
    encoded: Columns

    def scorer(self) -> Scorer:
        return Scorer(self.model, self.signature, threads=1)

    def rows(self) -> list[dict[str, Any]]:
        """The raw rows as plain Python values, as a request would have them."""
        lists = {name: values.tolist() for name, values in self.raw.items()}
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def build(folder: Path, candidate: str = "logistic", task: str = "classification") -> SmallModel:
    """Fit a candidate on the made-up rows and write model.onnx and signature.json into `folder`."""
    from pipelines.training import estimators

    text = SMALL
    if task == "regression":
        for old, new in (
            ("task: classification", "task: regression"),
            ('  positive: "true"\n', ""),
            ("returned: {type: boolean", "returned: {type: number"),
            ("roc_auc", "mae"),
            ("linear_model.LogisticRegression", "linear_model.Ridge"),
            ("{max_iter: 1000, random_state: 7}", "{alpha: 1.0, random_state: 7}"),
            ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
        ):
            text = text.replace(old, new)
    params = parse(text)
    raw = raw_columns()
    inputs = inputs_of(params)
    encoded = {item.name: encode(item, raw[item.name]) for item in inputs}
    graph = features.graph(params, features.vocabulary_of(params, encoded))
    size = 0.01 * raw["price"] + (raw["size"] != raw["usual_size"]) - 1
    noise = np.random.default_rng(1).normal(0, 0.7, ROWS)
    target = (size + noise > 0).astype(float) if task == "classification" else size + noise
    chosen = params.candidates[candidate]
    fitted = estimators.fit(candidate, chosen, graph.transform(encoded), target)
    model = estimators.to_graph(candidate, chosen, fitted, graph, task)
    is_class = task == "classification"
    signature = Signature(
        model_name=params.model_name,
        task=task,
        target=params.table.target,
        inputs=inputs,
        output="probability" if is_class else "value",
        candidate=candidate,
        classes=("false", "true") if is_class else (),
        threshold=0.5 if is_class else None,
        trained_until="2026-03-01T00:00:00+00:00",
    )
    write_bytes(folder / "model.onnx", model.SerializeToString())
    write_json(folder / "signature.json", signature.to_json())
    return SmallModel(params, folder / "model.onnx", folder / "signature.json", fitted, graph, raw, encoded)


@pytest.fixture(scope="session")
def logistic(tmp_path_factory):
    return build(tmp_path_factory.mktemp("logistic"))


@pytest.fixture(scope="session")
def boosting(tmp_path_factory):
    return build(tmp_path_factory.mktemp("boosting"), "boosting")


@pytest.fixture(scope="session")
def regression(tmp_path_factory):
    return build(tmp_path_factory.mktemp("regression"), task="regression")


@pytest.fixture
def small_disk():
    """A block in which no file grows beyond so many bytes: the kernel refuses the write, as on a full disk."""

    @contextmanager
    def limited(size):
        old, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (old, hard))

    return limited
