"""Stage `evaluate`: the exported file on the test rows. Metrics, plots, importance and the model card, all for git."""

from __future__ import annotations

import sys

import numpy as np

from pipelines import config, metrics, tables
from pipelines.cli import end_with_code
from pipelines.files import write_csv, write_json, write_text
from pipelines.scorer import Columns, Scorer
from pipelines.training import card, curves
from pipelines.training.paths import BARS, CARD, CURVES, IMPORTANCE, METRICS, MODEL, SIGNATURE

IMPORTANCE_ROWS = 20_000
REPEATS = 3


def importance(scorer: Scorer, rows: tables.Rows, metric: str, seed: int) -> dict[str, float]:
    """Permutation importance (Breiman, 2001): how much the metric loses when one raw field is shuffled.

    Of more than 20,000 rows a seeded sample is taken; the mean of three shuffles is given.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    picked = np.sort(generator.permutation(len(rows))[:IMPORTANCE_ROWS])
    columns: Columns = {name: values[picked] for name, values in rows.inputs.items()}
    target, signature = rows.target[picked], scorer.signature

    def measured(changed: Columns) -> float:
        return metrics.compute(signature.task, target, scorer.score(changed), signature.threshold)[metric]

    whole = measured(columns)
    lost: dict[str, float] = {}
    for name in signature.names:
        shuffled = [
            measured({**columns, name: columns[name][generator.permutation(len(picked))]}) for _ in range(REPEATS)
        ]
        lost[name] = metrics.gain(metric, whole - float(np.mean(shuffled)))
    return lost


def main() -> None:
    """Evaluate models/model.onnx on the test rows."""
    params = config.load()
    scorer = Scorer(MODEL, SIGNATURE)
    table = tables.read_data(tables.connect())
    split = tables.load_split()
    rows = tables.load(tables.side(table, params, split, "test"), params, scorer.signature.inputs)
    scores = scorer.score(rows.inputs)
    found = metrics.compute(params.task, rows.target, scores, scorer.signature.threshold)
    lost = importance(scorer, rows, params.gates.headline, params.gates.seed)
    write_json(METRICS, {"test": found, "rows": len(rows)})
    write_json(IMPORTANCE, lost)
    for name, points in curves.curves(params.task, rows.target, scores).items():
        write_csv(CURVES / f"{name}.csv", ["x", "y"], points)
    for name, bars in curves.bars(params.task, rows.target, scores, scorer.signature.threshold).items():
        write_csv(BARS / f"{name}.csv", ["name", "value"], bars)
    write_csv(BARS / "importance.csv", ["name", "value"], sorted(lost.items(), key=lambda item: -item[1]))
    write_text(CARD, card.write(params, scorer.signature, found, len(rows), lost, split["counts"]))
    headline = params.gates.headline
    print(f"{headline} {found[headline]:.4f} on {len(rows):,} test rows")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
