"""Two real rows as critical cases."""

from datetime import datetime
from typing import Any

import numpy as np

from pipelines.adopt.baseline import Baseline
from pipelines.adopt.params_file import render
from pipelines.config.params import Params


def cases_text(params: Params, baseline: Baseline) -> str:
    """Return tests/critical/first.yaml: a row that the baseline answers well on each side."""
    target, scores, rows = baseline.rows.target, baseline.scores, baseline.rows.arrow
    if params.task == "classification":
        positives, negatives = np.flatnonzero(target == 1), np.flatnonzero(target == 0)
        chosen = {
            "a typical positive row": (int(positives[np.argmax(scores[positives])]), "positive"),
            "a typical negative row": (int(negatives[np.argmin(scores[negatives])]), "negative"),
        }
    else:
        error = np.abs(scores - target)
        room = 3 * float(np.median(error)) or 1.0
        chosen = {}
        for name, share in (("a row with a low value", 0.25), ("a row with a high value", 0.75)):
            near = np.argsort(np.abs(target - np.quantile(target, share)))[:50]
            index = int(near[np.argmin(error[near])])
            low, high = target[index] - room, target[index] + room
            chosen[name] = (index, f"{{at_least: {low:.4g}, at_most: {high:.4g}}}")
    cases = []
    for name, (index, expected) in chosen.items():
        row = rows.select(list(params.inputs)).slice(index, 1).to_pylist()[0]
        cases.append((name, {key: _plain(value) for key, value in row.items()}, expected))
    return render("first.yaml.j2", cases=cases)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    return None if isinstance(value, float) and np.isnan(value) else value
