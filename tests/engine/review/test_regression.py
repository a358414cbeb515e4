"""A regression by params.yaml alone: house prices from a CSV, without an event time.

Needs git, DVC and all stages.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest
import yaml

from testing.repository import NOT_PREPARED
from tests.engine.fixtures_repo import Repo, copy_sources
from tests.engine.in_process import must, reproduce, review, verb

ROWS = 1500
PARAMS = """
model_name: houses
task: regression
schema:
  key: house_id
  target: price
  columns:
    house_id: {type: identifier}
    area: {type: number, min: 10, max: 1000}
    rooms: {type: integer, min: 1, max: 20, nullable: true}
    district: {type: category, allowed: [centre, harbour, hills]}
    garden: {type: boolean}
    built: {type: integer, min: 1800, max: 2026}
    price: {type: number, min: 0, nullable: true}
ingest: {kind: files, paths: [houses.csv]}
validation: {max_missing: 0.2, max_share: 0.98, leak_score: 0.99, min_rows: 500}
split: {by: hash, salt: houses, test: 0.3, validation: 0.2}
features:
  use: [area, rooms, district, garden, built]
  derive: {log_area: {op: log1p, of: area}, area_a_room: {op: ratio, of: area, to: rooms}}
candidates:
  ridge:
    estimator: sklearn.linear_model.Ridge
    params: {alpha: 1.0, random_state: 7}
    before: [{estimator: sklearn.impute.SimpleImputer, params: {strategy: median, keep_empty_features: true}}]
  boosting:
    estimator: sklearn.ensemble.HistGradientBoostingRegressor
    params: {max_iter: 80, early_stopping: false, random_state: 7}
  forest:
    estimator: sklearn.ensemble.RandomForestRegressor
    params: {n_estimators: 20, max_depth: 8, n_jobs: 1, random_state: 7}
    before: [{estimator: sklearn.impute.SimpleImputer, params: {strategy: median, keep_empty_features: true}}]
selection: {metric: mae}
value: null
gates:
  headline: mae
  resamples: 300
  when_unclear: block
  seed: 7
  floors: {mae: 60000, r2: 0.7}
  regression: {mae: 3000, r2: 0.03}
  scoring_time_ratio: 50.0
  max_model_mb: 20
slices:
  {metric: mae, min_support: 60, floor: 90000, tolerance: 5000,
   by: {district: {column: district}, large: {column: area, from: 150}}}
serving:
  base_image: example.org/python:3@sha256:0000000000000000000000000000000000000000000000000000000000000000
  max_batch_rows: 1000
  max_body_mb: 1
  timeout_seconds: 5
retention: {keep_last: 3}
"""
CRITICAL = """
- name: a usual flat has a usual price
  why: It is what most people ask for.
  row: &flat {area: 80, rooms: 3, district: centre, garden: false, built: 1990}
  expect: {at_least: 150000, at_most: 450000}
- name: a larger flat is not cheaper
  why: Nobody could defend it.
  row: *flat
  direction: {field: area, values: [60, 100, 200], must_not: fall, tolerance: 5000}
"""
WITHOUT_MEANING = "|".join(
    [
        "probabilit",
        "threshold",
        "decision",
        "calibrat",
        "recall",
        "fairness",
        "false.positive",
        "true.positive",
        "brier",
    ]
    + ["log.loss", r"\broc\b", "classes"]
)


def houses(seed: int = 3) -> pa.Table:
    draw = np.random.default_rng(seed)
    area, rooms = np.round(draw.gamma(6, 18, ROWS).clip(15, 900), 1), draw.integers(1, 9, ROWS)
    district = draw.choice(["centre", "harbour", "hills"], ROWS)
    garden, built = draw.random(ROWS) < 0.4, draw.integers(1900, 2025, ROWS)
    level = np.select([district == "centre", district == "hills"], [3200, 2600], 2000)
    price = area * level + 25_000 * garden + 400 * (built - 1950) + draw.normal(0, 25_000, ROWS)
    return pa.table(
        {
            "house_id": [f"h{i:05}" for i in range(ROWS)],
            "area": area,
            "rooms": [None if gap else int(n) for n, gap in zip(rooms, draw.random(ROWS) < 0.05, strict=True)],
            "district": district,
            "garden": garden,
            "built": built,
            "price": np.round(price.clip(10_000)),
        }
    )


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A team's repository: the template's files, with a params.yaml, a table and critical cases of its own."""
    path = tmp_path_factory.mktemp("houses")
    copy_sources(path)
    (path / "params.yaml").write_text(PARAMS)
    (path / "features/prepare.py").write_text(NOT_PREPARED)
    for case in (path / "tests/critical").glob("*.yaml"):
        case.unlink()
    (path / "tests/critical/houses.yaml").write_text(CRITICAL)
    pc.write_csv(houses(), path / "houses.csv")
    repo = Repo(path, path / ".dvc/cache")
    repo.git("init", "--quiet", "--initial-branch=main")
    must(verb(repo, "data"))
    reproduce(repo)
    repo.commit("houses")
    return path


@pytest.fixture
def regression_repo(reproduced: Path, tmp_path: Path) -> Repo:
    """A copy of that repository, whose next `dvc repro` runs nothing."""
    path = Path(shutil.copytree(reproduced, tmp_path / "houses"))
    return Repo(path, path / ".dvc/cache")


def texts(repo: Repo) -> dict[str, str]:
    """Every text file of a model and its review."""
    names = ["models/signature.json", "models/split.json", "models/profile.json"]
    paths = [repo.path / name for name in names]
    paths += [path for path in (repo.path / "reports").rglob("*") if path.is_file() and path.name != ".inputs"]
    return {str(path.relative_to(repo.path)): path.read_text() for path in paths}


@pytest.mark.xdist_group("houses")
def test_a_regression_is_reviewed_by_its_own_metrics_and_gates(regression_repo: Repo) -> None:
    repo = regression_repo
    repo.git("checkout", "--quiet", "-b", "change")

    must(review(repo))
    report = repo.report
    assert {stage["state"] for stage in report["stages"]} == {"cached"}
    assert [row["name"] for row in report["metrics"]] == ["mae", "rmse", "r2"]
    assert {row["delta"] for row in report["metrics"]} == {0}
    names = {gate["name"] for gate in report["gates"]}
    assert {"floor mae", "floor r2", "regression mae", "slice district=hills", "slice large"} <= names
    assert {case["name"]: case["passed"] for case in report["critical"]} == {
        "a usual flat has a usual price": True,
        "a larger flat is not cheaper": True,
    }
    files = texts(repo)
    assert {"reports/review/review.html", "reports/metrics.json", "reports/model_card.md"} <= set(files)
    assert (
        "reports/plots/curves/observed_by_predicted.csv" in files and "reports/plots/bars/rows_by_residual.csv" in files
    )
    for name, text in files.items():
        body = re.sub(r"(?s)<style.*?</style>", "", text)
        match = re.search(WITHOUT_MEANING, body, re.IGNORECASE)
        assert match is None, (name, body[max(0, match.start() - 60) : match.end() + 60])
    signature = json.loads(files["models/signature.json"])
    assert signature["output"] == "value" and signature["split"]["by"] == "hash"
    selection = json.loads(files["reports/candidates.json"])
    assert set(selection["candidates"]) == {"ridge", "boosting", "forest"}

    # Every row has an answer from the same model file.
    must(verb(repo, "predict", "houses.csv", "scored.csv"))
    scored = pc.read_csv(repo.path / "scored.csv")
    assert scored.column_names[-1] == "value" and len(scored) == ROWS

    # A worse model, with two fields.
    def use_two_fields(document):
        document["features"] = {"use": ["built", "garden"], "derive": {}}
        document["candidates"] = {"ridge": document["candidates"]["ridge"]}
        document["gates"]["floors"] = {}
        document["slices"]["by"] = {}

    repo.params(use_two_fields)
    (repo.path / "tests/critical/houses.yaml").write_text("[]\n")
    reproduce(repo)
    must(review(repo), 1)
    failed = set(repo.failed)
    assert {"regression mae", "regression r2"} == {name for name in failed if not name.startswith("weaker rules: ")}
    assert {"weaker rules: floor mae", "weaker rules: slice large"} <= failed
    assert any("No critical case" in note for note in repo.report["notes"])


@pytest.mark.xdist_group("houses")
def test_two_columns_that_sum_to_the_target_are_held_back_and_two_others_pass(regression_repo: Repo) -> None:
    repo = regression_repo
    table = houses()
    noise = np.random.default_rng(5).normal(0, 100_000, ROWS)

    def use_both(document):
        columns = {name: {"type": "number", "nullable": True} for name in ("land", "building")}
        document["schema"]["columns"] |= columns
        document["features"]["use"] += list(columns)
        document["candidates"] = {"ridge": document["candidates"]["ridge"]}

    def failed(building: np.ndarray) -> set[str]:
        pc.write_csv(
            table.append_column("land", pa.array(noise)).append_column("building", pa.array(building)),
            repo.path / "houses.csv",
        )
        must(verb(repo, "data"))
        review(repo)
        return {gate["name"] for gate in repo.report["gates"] if gate["group"] == "plausible" and not gate["passed"]}

    repo.params(use_both)
    price = table["price"].to_numpy()
    assert failed(np.roll(price, 1) - noise) == set()
    assert {"leak new inputs", "leak all inputs", "plausible gain"} <= failed(price - noise)


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("fairness", {"min_recall_ratio": 0.5}, "fairness.min_support: is missing"),
        ("schema", {"positive": "1"}, "schema.positive: belongs to"),
        ("selection", {"threshold": {"maximise": "f1"}}, "selection.threshold: belongs to"),
        ("gates", {"headline": "roc_auc"}, "gates.headline"),
        ("slices", {"metric": "recall"}, "slices.metric"),
    ],
)
def test_settings_of_a_classification_are_refused_for_a_regression(tmp_path, section, value, message) -> None:
    document = yaml.safe_load(PARAMS)
    document[section] = {**document.get(section, {}), **value}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    done = must(verb(tmp_path, "repro"), 2)
    assert message in done.out and "Traceback" not in done.out
