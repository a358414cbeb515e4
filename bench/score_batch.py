"""Batches of 100,000 rows: the scorer from Arrow columns, against scikit-learn's pipeline on a DataFrame."""

import numpy as np
import numpy.typing as npt

from bench import tutorial
from bench.problem import Problem
from bench.results import Result
from bench.timing import THREADS, Show, in_turns, threadpool_limits
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from pipelines.tables.data import to_numpy

NAME = "batches of 100,000 rows"
ROWS = 100_000


def measure(problem: Problem, show: Show) -> Result:
    """Time both with the same threads; ours encodes the columns, and the DataFrame is made beforehand."""
    root = problem.default.path
    peer = tutorial.fitted(root, show)
    scorer = Scorer(root / "models/candidates/boosting.onnx", root / "models/signature.json", threads=THREADS)
    table = tutorial.any_rows(root, ROWS)
    frame = tutorial.frame(table)
    answers: dict[str, npt.NDArray[np.float64]] = {}

    def ours() -> None:
        encoded = {item.name: encode(item, to_numpy(table, item.name)) for item in scorer.signature.inputs}
        answers["ours"] = scorer.score(encoded)

    def theirs() -> None:
        answers["theirs"] = peer.predict_proba(frame)[:, 1]

    with threadpool_limits(THREADS):
        medians = in_turns({"Scorer.score": ours, "scikit-learn": theirs}, show)
    same = np.abs(answers["ours"] - answers["theirs"]) < tutorial.ALIKE
    return Result(
        name=NAME,
        value=medians["Scorer.score"],
        unit="s",
        peers={"scikit-learn": medians["scikit-learn"]},
        target="ratio >= 1.3",
        sound=bool(same.mean() > 0.99),
        note=f"{THREADS} threads",
    )
