"""How often a review is right: reviews of equal and of worse models on rows drawn from a large simulated table.

`make verdicts` writes bench/verdicts.json and prints the tables of docs/review.md. A bank of models, each
fitted on rows of its own, is scored once on a large pool of rows. A review takes two models of the bank and draws test
rows and validation rows from the pool; the gates that compare are then evaluated as `make review` does it.
"""

import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.fraud.simulator import simulate
from pipelines.config.ingest import Simulator
from pipelines.config.params import Params, load
from pipelines.config.selection import Threshold
from pipelines.model import features
from pipelines.model.encoding import encode
from pipelines.model.inputs import inputs_of
from pipelines.model.metrics import compute, too_few
from pipelines.model.threshold import ThresholdChoice, choose_threshold
from pipelines.review.compare import Compared, metric_rows
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.fairness import fairness_gate, group_rows, wilson
from pipelines.review.gates.metrics import absolute_tolerance, regression_gate
from pipelines.review.gates.slices import slice_rows, slices_gate
from pipelines.tables.data import to_numpy
from pipelines.training import estimators

ROOT = Path(__file__).parents[1]
PATH = ROOT / "bench" / "verdicts.json"
POOL, MODELS, TRAINING_ROWS = 1_500_000, 12, 150_000
RESAMPLES = 200  # a review takes 1,000; the error rates are those of the interval, not of its rounding
SIZES, SHARES = (500, 2_000, 10_000, 50_000), (0.002, 0.01, 0.2)
DEFAULT = (50_000, 0.01)  # about the test rows of the default problem
LOSSES = (1, 2, 4)  # in tolerances of the headline metric
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """Reviews of one kind: test rows, share of positives, the head's loss in tolerances (0: equal models)."""

    rows: int
    share: float
    loss: int
    reviews: int


@dataclass(frozen=True)
class Outcome:
    """How the reviews of a cell ended, and how many of them each kind of gate failed or could not judge."""

    cell: Cell
    blocked: int
    not_evaluated: int
    passed: int
    failed_by: dict[str, int]
    unclear_by: dict[str, int]


@dataclass(frozen=True)
class Bank:
    """The pool's rows and the models' probabilities for them.

    Attributes:
        scores: shape (models, rows).
    """

    params: Params
    arrow: Any
    target: Floats
    scores: Floats


@cache
def bank() -> Bank:
    """Simulate the pool, fit the models on rows of the first half, and score the second half."""
    params = load(ROOT / "params.yaml")
    assert isinstance(params.ingest, Simulator)
    larger = POOL // params.ingest.payments
    spec = params.ingest.model_copy(
        update={"payments": POOL, "customers": params.ingest.customers * larger, "fraud_rate": 0.04}
    )
    table = simulate(spec)
    labelled = np.flatnonzero(~np.isnan(to_numpy(table, params.table.target)))
    order = np.random.default_rng(3).permutation(labelled)  # the bench measures chance, not drift
    inputs = inputs_of(params)
    columns = {item.name: encode(item, to_numpy(table, item.name)) for item in inputs}
    graph = features.graph(params, features.vocabulary_of(params, columns))
    target = to_numpy(table, params.table.target)
    fitting, judging = order[: len(order) // 2], order[len(order) // 2 :]
    judged = graph.transform({name: values[judging] for name, values in columns.items()})
    scores = []
    for number in range(MODELS):
        rows = _training_rows(fitting, target, params.ingest.fraud_rate, np.random.default_rng(number))
        matrix = graph.transform({name: values[rows] for name, values in columns.items()})
        model = estimators.fit("boosting", params.candidates["boosting"], matrix, target[rows])
        scores.append(estimators.predict(model, judged, params.task))
        print(f"fitted model {number + 1} of {MODELS}", file=sys.stderr, flush=True)
    return Bank(params, table.take(judging), target[judging], np.stack(scores))


def _training_rows(
    fitting: npt.NDArray[np.intp], target: Floats, share: float, generator: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Some of the rows, with that share of positives."""
    positives = round(TRAINING_ROWS * share)
    counts = ((1, positives), (0, TRAINING_ROWS - positives))
    return np.concatenate(
        [generator.choice(fitting[target[fitting] == label], n, replace=False) for label, n in counts]
    )


def draw(rows: int, share: float, generator: np.random.Generator) -> npt.NDArray[np.intp]:
    """Indices of drawn rows of the pool, with about that share of positives."""
    target = bank().target
    positives = int(generator.binomial(rows, share))
    drawn = [
        generator.choice(np.flatnonzero(target == label), count)
        for label, count in ((1, positives), (0, rows - positives))
    ]
    return np.concatenate(drawn)


def shifted(scores: Floats, share: float) -> Floats:
    """Probabilities for rows with another share of positives than the pool (prior correction on the log-odds)."""
    prior = bank().target.mean()
    odds = scores / (1 - scores) * (share / (1 - share)) / (prior / (1 - prior))
    return odds / (1 + odds)


@cache
def share_to_shuffle(share: float, loss: int) -> float:
    """The share of scores to shuffle so that the headline metric of a model drops by so many tolerances."""
    if not loss:
        return 0.0
    params, metric = bank().params, bank().params.gates.headline
    rows = draw(200_000, share, np.random.default_rng(11))
    target, scores = bank().target[rows], shifted(bank().scores[0][rows], share)
    value = compute(params.task, target, scores, 0.5)[metric]
    allowed = absolute_tolerance(metric, params.gates.regression[metric], value, share)
    assert allowed is not None
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        shuffled = shuffle_scores(scores, middle, np.random.default_rng(12))
        too_much = value - compute(params.task, target, shuffled, 0.5)[metric] > loss * allowed.amount
        low, high = (low, middle) if too_much else (middle, high)
    return (low + high) / 2


def shuffle_scores(scores: Floats, share: float, generator: np.random.Generator) -> Floats:
    """Shuffle the scores of a share of the rows among themselves."""
    chosen = np.flatnonzero(generator.random(len(scores)) < share)
    shuffled = scores.copy()
    shuffled[chosen] = scores[generator.permutation(chosen)]
    return shuffled


def compared(cell: Cell, seed: int) -> Compared:
    """One pair of models on drawn rows, with the thresholds that a team would have chosen."""
    generator = np.random.default_rng([seed, cell.rows, int(cell.share * 1000), cell.loss])
    head, base = generator.choice(MODELS, 2, replace=False)
    sides = []
    for rows in (cell.rows, max(cell.rows * 3 // 5, 200)):
        chosen = draw(rows, cell.share, generator)
        scores = [shifted(bank().scores[model][chosen], cell.share) for model in (head, base)]
        scores[0] = shuffle_scores(scores[0], share_to_shuffle(cell.share, cell.loss), generator)
        sides.append((chosen, bank().target[chosen], *scores))
    (test, target, head_scores, base_scores), (_, validation, *validation_scores) = sides
    rule = bank().params.selection.threshold or Threshold()
    thresholds = [
        choose_threshold(validation, scores, rule) if validation.any() else 0.5 for scores in validation_scores
    ]
    choices = None
    if not too_few("classification", validation):
        of_head, of_base = (ThresholdChoice(validation, scores, rule) for scores in validation_scores)
        choices = of_head, of_base
    arrow = bank().arrow.take(test)
    return Compared("classification", arrow, target, head_scores, thresholds[0], base_scores, thresholds[1], 0, choices)


def review(job: tuple[Cell, int]) -> tuple[Cell, list[tuple[str, str]]]:
    """The state of every comparing gate of one review, with the gate's kind."""
    cell, seed = job
    pair, params = compared(cell, seed), bank().params
    model = Path("model.onnx")
    params = params.model_copy(update={"gates": params.gates.model_copy(update={"resamples": RESAMPLES})})
    evidence = Evidence(
        params=params, head=model, base=model, rows=cell.rows, prevalence=float(pair.target.mean()),
        metrics=metric_rows(pair, RESAMPLES, seed), slices=slice_rows(pair, params), groups=group_rows(pair, params),
    )  # fmt: skip
    gates = (("regression", regression_gate), ("slices", slices_gate), ("fairness", fairness_gate))
    return cell, [
        (result.name if kind == "regression" else kind, result.state)
        for kind, gate in gates
        for result in gate(evidence)
    ]


def cells() -> Iterator[Cell]:
    """Equal models at every size and share, and worse models where the gates can judge."""
    for rows in SIZES:
        for share in SHARES:
            yield Cell(rows, share, 0, 500 if (rows, share) == DEFAULT else 200)
    for rows, share in (DEFAULT, (10_000, 0.2)):
        for loss in LOSSES:
            yield Cell(rows, share, loss, 200)


def count_outcomes(cell: Cell, reviews: list[list[tuple[str, str]]]) -> Outcome:
    """Count the reviews of a cell."""
    failed_by, unclear_by, ends = Counter[str](), Counter[str](), Counter[str]()
    for results in reviews:
        failed = {kind for kind, state in results if state == "failed"}
        unclear = {kind for kind, state in results if state == "not evaluated"}
        failed_by.update(failed)
        unclear_by.update(unclear)
        ends["blocked" if failed else "not evaluated" if unclear else "passed"] += 1
    counts = (ends["blocked"], ends["not evaluated"], ends["passed"])
    return Outcome(cell, *counts, dict(sorted(failed_by.items())), dict(sorted(unclear_by.items())))


def share_text(count: int, total: int) -> str:
    """A share with its 95 % Wilson interval, in per cent."""
    low, high = wilson(count / total, total, NormalDist().inv_cdf(0.975))
    return f"{count / total:.1%} ({low:.1%}-{high:.1%})".replace("%", "").replace("-", " to ")


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as Markdown."""
    lines = [
        "| test rows | positives | head | blocked, % | not evaluated, % | passed, % | failed by |",
        "|---:|---:|---|---:|---:|---:|---|",
    ]
    for outcome in outcomes:
        cell, total = outcome.cell, outcome.cell.reviews
        head = f"worse by {cell.loss} tolerance{'s' * (cell.loss > 1)}" if cell.loss else "equal"
        ends = (share_text(count, total) for count in (outcome.blocked, outcome.not_evaluated, outcome.passed))
        kinds = ", ".join(f"{kind.removeprefix('regression ')} {count}" for kind, count in outcome.failed_by.items())
        lines.append(f"| {cell.rows:,} | {cell.share:.1%} | {head} | {' | '.join(ends)} | {kinds} |")
    return "\n".join(lines)


def main() -> None:
    """Run every review, write the counts, print the table."""
    started = time.monotonic()
    bank()
    planned = list(cells())
    for cell in planned:
        share_to_shuffle(cell.share, cell.loss)  # before the processes start, which inherit both
    jobs = [(cell, seed) for cell in planned for seed in range(cell.reviews)]
    results: dict[Cell, list[list[tuple[str, str]]]] = {cell: [] for cell in planned}
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for done, (cell, states) in enumerate(pool.imap_unordered(review, jobs, chunksize=5), start=1):
            results[cell].append(states)
            if done % 100 == 0:
                print(f"{done:,} of {len(jobs):,} reviews, {time.monotonic() - started:.0f} s", file=sys.stderr)
    outcomes = [count_outcomes(cell, reviews) for cell, reviews in results.items()]
    PATH.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    print(table(outcomes))


if __name__ == "__main__":
    main()
