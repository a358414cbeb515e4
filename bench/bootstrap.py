"""1,000 paired resamples of 50,000 rows with all metrics of two models, against one fit of the default model."""

from bench.problem import Problem
from bench.results import Result
from bench.timing import THREADS, Show, in_turns, threadpool_limits
from pipelines.config.params import load
from pipelines.config.paths import PREPARED, SPLIT
from pipelines.model import features
from pipelines.model.inputs import inputs_of
from pipelines.model.metrics import Weighted, paired_bootstrap
from pipelines.model.scorer import Scorer
from pipelines.model.signature import load_signature
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import load_rows
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training import estimators

NAME = "paired bootstrap, 1,000 resamples of 50,000 rows, all metrics of two models"
ROWS, RESAMPLES = 50_000, 1_000
MODELS = ("boosting", "logistic")


def measure(problem: Problem, show: Show) -> Result:
    """Time both on the training rows of the default problem."""
    root = problem.default.path
    params = load(root / "params.yaml")
    inputs = inputs_of(params)
    table = read_rows(connect(), root / PREPARED)
    side = rows_on_side(table, params, load_split(root / SPLIT), "train")
    rows = load_rows(side, params, inputs)
    matrix = features.graph(params, features.vocabulary_of(params, rows.inputs)).transform(rows.inputs)
    signature = load_signature(root / "models/signature.json")
    sample = {name: values[:ROWS] for name, values in rows.inputs.items()}
    target = rows.target[:ROWS]
    assert len(target) == ROWS and 0 < target.sum() < ROWS
    weighted = [
        Weighted(params.task, target, Scorer(root / f"models/candidates/{name}.onnx", signature).score(sample), 0.3)
        for name in MODELS
    ]

    def resample() -> None:
        paired_bootstrap(weighted, ROWS, RESAMPLES, seed=7)

    def fit() -> None:
        estimators.fit("boosting", params.candidates["boosting"], matrix, rows.target)

    with threadpool_limits(THREADS):
        medians = in_turns({"bootstrap": resample, "one fit": fit}, show)
    return Result(
        name=NAME,
        value=medians["bootstrap"],
        unit="s",
        peers={"one fit of the default model": medians["one fit"]},
        target="ratio < 1",
        note=f"fit on {len(rows.target):,} rows; {THREADS} threads",
    )
