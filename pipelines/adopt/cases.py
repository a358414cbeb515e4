"""Two real rows as critical cases, with a note on how to write more."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np

from pipelines.adopt.baseline import Baseline
from pipelines.adopt.params_file import quote
from pipelines.config.params import Params

NOTE = """\
# Named cases that the model must get right, whatever its averages are (docs/review.md). These two are rows of the
# table, to show the form: a failed `should` warns. Replace them by cases that you would defend before a customer, with
# `level: must`, which block a merge. Besides `expect` a case can have `invariance` (a field that must not matter) or
# `direction` (a field whose rise must not lower, or raise, the score).
"""


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
    texts = [NOTE]
    for name, (index, expected) in chosen.items():
        row = rows.select(list(params.inputs)).slice(index, 1).to_pylist()[0]
        fields = "".join(f"    {quote(key)}: {_plain(value)}\n" for key, value in row.items())
        texts.append(
            f"- name: {name}\n  why: An example from the table; the baseline of `make adopt` answers it well.\n"
            f"  level: should\n  row:\n{fields}  expect: {expected}\n"
        )
    return "\n".join(texts)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        value = value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    if isinstance(value, float) and np.isnan(value):
        value = None
    return json.dumps(value, ensure_ascii=False)
