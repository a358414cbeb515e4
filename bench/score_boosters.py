"""One row in process with LightGBM's and XGBoost's graphs, against their pipelines and against the models alone.

The pipeline takes a DataFrame of one row with raw columns. The model alone takes a NumPy row of features that somebody
has already computed, on one thread: the strongest form of either library in Python. It has no target.
"""

from collections.abc import Callable
from contextlib import chdir
from typing import Any

import ibis
import numpy as np

from bench import tutorial
from bench.problem import Problem
from bench.results import Result
from bench.timing import Show, in_turns, threadpool_limits
from pipelines.cli.files import write_bytes
from pipelines.config.candidates import Candidate
from pipelines.config.params import load
from pipelines.model import features
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import load_rows
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training import estimators
from pipelines.training.select import draft_signature

PARAMS = {"n_estimators": 120, "learning_rate": 0.1, "random_state": 7, "n_jobs": 1}
LIBRARIES = {
    "LightGBM": ("lightgbm.LGBMClassifier", {"num_leaves": 31}),
    "XGBoost": ("xgboost.XGBClassifier", {"max_depth": 6}),
}
NAMES_OF = {name: (f"one row in process, {name}", f"one row in process, {name} alone") for name in LIBRARIES}
NAMES = tuple(name for names in NAMES_OF.values() for name in names)
OURS, THEIRS = 5_000, 100  # rows a run


def measure(problem: Problem, show: Show) -> list[Result]:
    """Time each library's graph, pipeline and model in turns, with one thread."""
    return [result for library in LIBRARIES for result in _measure(problem, library, show)]


def _measure(problem: Problem, library: str, show: Show) -> list[Result]:
    root = problem.default.path
    path, own = LIBRARIES[library]
    with chdir(root):
        params = load()
        candidate = Candidate(estimator=path, params={**PARAMS, **own})
        rows = load_rows(rows_on_side(read_rows(connect()), params, load_split(), "train"), params, inputs_of(params))
        graph = features.graph(params, features.vocabulary_of(params, rows.inputs))
        show(f"Fitting {library}")
        fitted = estimators.fit("bench", candidate, graph.transform(rows.inputs), rows.target)
        file = problem.folder / f"{library}.onnx"
        write_bytes(file, estimators.to_graph("bench", candidate, fitted, graph, params.task).SerializeToString())
        scorer = Scorer(file, draft_signature(params, "bench", inputs_of(params)), threads=1)
        table = tutorial.test_rows(root, THEIRS)
        encoded = load_rows(ibis.memtable(table), params, inputs_of(params)).inputs
        peer = tutorial.pipeline(params).set_params(model=estimators.build("bench", candidate).named_steps["estimator"])
        peer.fit(tutorial.frame(rows.arrow), rows.target)
    matrix = graph.transform(encoded).astype(np.float64)
    raw = [{name: row[name] for name in scorer.signature.names} for row in table.to_pylist()]
    frame = tutorial.frame(table)
    frames = [frame.iloc[[i]] for i in range(THEIRS)]
    alone = _alone(library, fitted.named_steps["estimator"])
    arrays = [matrix[[i]] for i in range(THEIRS)]

    def ours() -> None:
        for _ in range(OURS // THEIRS):
            for row in raw:
                scorer.score_row(row)

    def theirs() -> None:
        for row in frames:
            peer.predict_proba(row)

    def strongest() -> None:
        for _ in range(OURS // THEIRS):
            for row in arrays:
                alone(row)

    expected = estimators.predict(fitted, matrix, params.task)
    same = np.abs(expected - [scorer.score_row(row) for row in raw]) < tutorial.ALIKE
    same &= np.abs(expected - [float(alone(row)[0]) for row in arrays]) < tutorial.ALIKE
    with threadpool_limits(1):
        medians = in_turns({"graph": ours, "pipeline": theirs, "model alone": strongest}, show)
    value, sound = medians["graph"] / OURS * 1e6, bool(same.mean() > 0.99)
    pipeline = {f"{library}'s pipeline on a one-row frame": medians["pipeline"] / THEIRS * 1e6}
    strong = {f"{library} on a NumPy row of features": medians["model alone"] / OURS * 1e6}
    return [
        Result(NAMES_OF[library][0], value, "µs", "ratio >= 50", pipeline, sound),
        Result(NAMES_OF[library][1], value, "µs", "", strong, sound),
    ]


def _alone(library: str, model: Any) -> Callable[[Any], Any]:
    """Return the fastest call of the library in Python for one row of features."""
    if library == "LightGBM":
        booster = model.booster_
        return lambda row: booster.predict(row, num_threads=1, validate_features=False)
    booster = model.get_booster()
    booster.set_param({"nthread": 1})
    return lambda row: booster.inplace_predict(row, validate_features=False)
