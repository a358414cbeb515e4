"""Stage `profile`: write models/profile.json, which the monitor compares production with.

It holds bins and counts of each input in the training rows and of the score in the validation rows, how much these vary
by nature, and the mean loss of the test rows.
"""

import sys
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import rounded, write_json
from pipelines.config.features import FeatureParams
from pipelines.config.paths import MODEL, PROFILE, SIGNATURE
from pipelines.config.read import read_sections
from pipelines.model.bounded_loss import LOSSES, bounded_loss, largest_loss
from pipelines.model.encoding import encode
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input
from pipelines.tables.binning import BINS, bin_edges, count_bins
from pipelines.tables.data import connect, read_rows, target_value, to_numpy
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training.variation import count_days, day_of, natural_variation

Floats = npt.NDArray[np.float64]
_EXTRA = "__extra"


def profile(table: ir.Table, inputs: tuple[Input, ...], event_time: str | None = None) -> dict[str, Any]:
    """Return the profile of the inputs: type, bin edges, counts, range and natural variation of each.

    Args:
        event_time: the column by whose days natural variation is measured; without one there is none.
    """
    edges = bin_edges(table, inputs)
    counts = count_bins(table, inputs, edges)
    ranges = _ranges(table, [item for item in inputs if item.name in edges and not item.sensitive])
    document: dict[str, Any] = {"rows": sum(counts[inputs[0].name].values()), "inputs": {}}
    for item in inputs:
        entry: dict[str, Any] = {"type": item.type, "counts": counts[item.name], **ranges.get(item.name, {})}
        if item.name in edges:
            entry["edges"] = edges[item.name]
        if event_time:
            days = count_days(table, item, edges.get(item.name, []), counts[item.name], event_time)
            entry["variation"] = natural_variation(days)
        document["inputs"][item.name] = entry
    return document


def _ranges(table: ir.Table, inputs: list[Input]) -> dict[str, dict[str, float]]:
    """Return the smallest and the largest number of each numeric input that has any."""
    if not inputs:
        return {}
    ends = {f"{end}_{i}": getattr(table[item.name], end)() for i, item in enumerate(inputs) for end in ("min", "max")}
    row = table.aggregate(**ends).to_pyarrow().to_pylist()[0]
    return {
        item.name: {end: float(row[f"{end}_{i}"]) for end in ("min", "max")}
        for i, item in enumerate(inputs)
        if row[f"min_{i}"] is not None
    }


def profile_scores(scorer: Scorer, validation: ir.Table, train: ir.Table, event_time: str | None) -> dict[str, Any]:
    """Return bin edges and counts of the scores of the validation rows, and their variation in the training rows."""
    scores, _ = _score(scorer, validation)
    edges = np.unique(rounded(np.quantile(scores, np.arange(1, BINS) / BINS))) if len(scores) else np.empty(0)
    counts = np.bincount(_bins(scores, edges), minlength=len(edges) + 1)
    document: dict[str, Any] = {"edges": edges, "counts": {str(i): rows for i, rows in enumerate(counts.tolist())}}
    if event_time:
        scores, days = _score(scorer, train, day_of(train, event_time))
        days = days.astype(np.int64)
        counted = np.zeros((int(np.ptp(days)) + 1, len(edges) + 1))
        np.add.at(counted, (days - days.min(), _bins(scores, edges)), 1)
        document["variation"] = natural_variation(counted)
    return document


def promise(scorer: Scorer, test: ir.Table, target: ir.Value) -> dict[str, Any]:
    """Return the mean bounded losses of the test rows with their standard errors."""
    scores, targets = _score(scorer, test, target)
    losses = {}
    for name in LOSSES[scorer.signature.task] if len(scores) > 1 else ():
        # Six digits, as the file will hold it.
        largest = rounded(largest_loss(name, targets, scores))
        loss = bounded_loss(name, targets, scores, largest)
        error = loss.std(ddof=1) / np.sqrt(len(loss))
        losses[name] = {"mean": loss.mean(), "standard_error": error, "largest": largest}
    return {"rows": len(scores), "losses": losses}


def _bins(scores: Floats, edges: Any) -> npt.NDArray[np.int64]:
    """Return the bin of each score: those up to edge i and above edge i - 1."""
    return np.searchsorted(edges, scores, side="left")


def _score(scorer: Scorer, table: ir.Table, extra: ir.Value | None = None) -> tuple[Floats, Floats]:
    """Return the scores of the rows, and a further column; both of shape (n,)."""
    inputs = scorer.signature.inputs
    extra = ibis.literal(0) if extra is None else extra
    arrow = table.select(*(item.name for item in inputs), **{_EXTRA: extra}).to_pyarrow()
    scores = scorer.score({item.name: encode(item, to_numpy(arrow, item.name)) for item in inputs})
    return scores, to_numpy(arrow, _EXTRA).astype(np.float64)


def main() -> None:
    """Profile the training rows, the scores of the validation rows, and the losses of the test rows."""
    params = read_sections(FeatureParams)
    scorer, split, event_time = Scorer(MODEL, SIGNATURE), load_split(), params.table.event_time
    table = read_rows(connect())
    train, validation, test = (rows_on_side(table, params, split, side) for side in ("train", "validation", "test"))
    document = profile(train, inputs_of(params), event_time)
    document["score"] = profile_scores(scorer, validation, train, event_time)
    document["promise"] = promise(scorer, test, target_value(test, params))
    write_json(PROFILE, document)
    print(f"{PROFILE}: {document['rows']:,} rows, {len(document['inputs'])} inputs")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
