"""Stage `evaluate`: metrics, plots, importance and model card of the exported file on the test rows."""

import sys

import numpy as np
import numpy.typing as npt

from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_csv, write_json, write_text
from pipelines.config.metrics import gain
from pipelines.config.paths import BARS, CARD, CURVES, IMPORTANCE, METRICS, MODEL, SIGNATURE
from pipelines.config.read import read_sections
from pipelines.config.selection import ComparedParams
from pipelines.model import curves
from pipelines.model.encoding import Columns
from pipelines.model.metrics import compute
from pipelines.model.scorer import Scorer
from pipelines.tables.costs import costs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import Rows, load_rows
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training.model_card import model_card

IMPORTANCE_ROWS = 20_000
REPEATS = 3
SEED = 7


def importance(
    scorer: Scorer, rows: Rows, metric: str, seed: int, costs: npt.NDArray[np.float64] | None = None
) -> dict[str, float]:
    """Return permutation importance (Breiman, 2001): the loss of the metric when one raw field is shuffled.

    It is the mean of three shuffles, on a sample of at most 20,000 rows.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    sample = np.sort(generator.permutation(len(rows))[:IMPORTANCE_ROWS])
    columns: Columns = {name: values[sample] for name, values in rows.inputs.items()}
    target, signature = rows.target[sample], scorer.signature
    costs = None if costs is None else costs[sample]

    def score(changed: Columns) -> float:
        return compute(signature.task, target, scorer.score(changed), signature.threshold, costs)[metric]

    unshuffled = score(columns)
    losses: dict[str, float] = {}
    for name in signature.names:
        shuffled = [score({**columns, name: columns[name][generator.permutation(len(sample))]}) for _ in range(REPEATS)]
        losses[name] = gain(metric, unshuffled - float(np.mean(shuffled)))
    return losses


def main() -> None:
    """Evaluate models/model.onnx on the test rows."""
    params = read_sections(ComparedParams)
    scorer = Scorer(MODEL, SIGNATURE)
    split = load_split()
    rows = load_rows(rows_on_side(read_rows(connect()), params, split, "test"), params, scorer.signature.inputs)
    scores = scorer.score(rows.inputs)
    costs = costs_of(rows.arrow, rows.target, params.value)
    metrics = compute(params.task, rows.target, scores, scorer.signature.threshold, costs)
    losses = importance(scorer, rows, params.selection.metric, SEED, costs)
    write_json(METRICS, {"test": metrics, "rows": len(rows)})
    write_json(IMPORTANCE, losses)
    for name, points in curves.curves(params.task, rows.target, scores).items():
        write_csv(CURVES / f"{name}.csv", ["x", "y"], points)
    for name, bars in curves.bars(params.task, rows.target, scores, scorer.signature.threshold).items():
        write_csv(BARS / f"{name}.csv", ["name", "value"], bars)
    write_csv(BARS / "importance.csv", ["name", "value"], sorted(losses.items(), key=lambda item: -item[1]))
    write_text(CARD, model_card(params, scorer.signature, metrics, len(rows), losses, split["counts"]))
    metric = params.selection.metric
    print(f"{metric} {metrics[metric]:.4f} on {len(rows):,} test rows")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
