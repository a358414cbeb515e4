"""One row in process: the scorer on a request's fields, against scikit-learn's pipeline on a DataFrame of one row."""

import numpy as np

from bench import tutorial
from bench.problem import Problem
from bench.results import Result
from bench.timing import Show, in_turns, threadpool_limits
from pipelines.model.scorer import Scorer

NAME = "one row in process"
OURS, THEIRS = 5_000, 100  # rows a run


def measure(problem: Problem, show: Show) -> Result:
    """Time both with one thread; the DataFrames are made beforehand."""
    root = problem.default.path
    peer = tutorial.fitted(root, show)
    scorer = Scorer(root / "models/candidates/boosting.onnx", root / "models/signature.json", threads=1)
    table = tutorial.test_rows(root, THEIRS)
    rows = [{name: row[name] for name in scorer.signature.names} for row in table.to_pylist()]
    frame = tutorial.frame(table)
    frames = [frame.iloc[[i]] for i in range(THEIRS)]

    def ours() -> None:
        for _ in range(OURS // THEIRS):
            for row in rows:
                scorer.score_row(row)

    def theirs() -> None:
        for row in frames:
            peer.predict_proba(row)

    expected = peer.predict_proba(frame)[:, 1]
    same = np.abs(expected - [scorer.score_row(row) for row in rows]) < tutorial.ALIKE
    with threadpool_limits(1):
        medians = in_turns({"Scorer.score_row": ours, "scikit-learn": theirs}, show)
    return Result(
        name=NAME,
        value=medians["Scorer.score_row"] / OURS * 1e6,
        unit="µs",
        peers={"scikit-learn": medians["scikit-learn"] / THEIRS * 1e6},
        target="ratio >= 50",
        sound=bool(same.mean() > 0.99),
    )
