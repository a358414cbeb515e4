"""What the head changes besides the model: values of params.yaml, the training rows, and the review's own code."""

import json
import math
import os.path
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from pipelines.config.metrics import label
from pipelines.model.signature import Input
from pipelines.pages.numbers import count, number, of, percent
from pipelines.repository import git
from pipelines.repository.leaves import leaves
from pipelines.review.findings import DataChange, MetricRow, ParamChange
from pipelines.tables.binning import count_bins
from pipelines.tables.cast import has_type

Moments = tuple[tuple[float, float], tuple[float, float]]
MAX_LENGTH = 80  # characters of a value that are shown
# The parts of pipelines/ that a review imports or starts; of the stages, those that judge features/prepare.py and the
# rows, choose the test rows and measure the importance of the inputs.
_OWN = re.compile(
    r"pipelines/(__main__\.py|(cli|config|model|pages|repository|reproduce|review|tables)/.*(?<!\.md)"
    r"|training/(evaluate|model_card|prepare|preparation_checks|split|validate)\.py)"
    r"|Makefile|dvc\.yaml|\.github/workflows/review\.yml"
)


def param_changes(base: str | None, head: str) -> tuple[ParamChange, ...]:
    """Values that differ between two texts of params.yaml, ordered by path."""
    sides = [dict(leaves(text)) for text in (base, head)]
    paths = sorted(set(sides[0]) | set(sides[1]))
    pairs = [(path, sides[0].get(path), sides[1].get(path)) for path in paths]
    return tuple(ParamChange(path, *_shorten(before, after)) for path, before, after in pairs if before != after)


def _shorten(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both values, of long ones the part in which they begin to differ."""
    common = len(os.path.commonprefix([before or "", after or ""]))  # noqa: RUF071 - these are texts, not paths
    longest = max(len(before or ""), len(after or ""))
    start = max(0, common - MAX_LENGTH // 2) if longest > MAX_LENGTH else 0

    def cut(value: str | None) -> str | None:
        end = start + MAX_LENGTH
        return value and "…" * (start > 0) + value[start:end] + "…" * (len(value) > end)

    return cut(before), cut(after)


def stability_index(base: dict[str, int], head: dict[str, int]) -> float:
    """Population stability index of two counts over the same bins (Siddiqi, 2006); empty bins count as half a row."""
    total_base, total_head = sum(base.values()), sum(head.values())
    if not total_base or not total_head:
        return float("nan")
    index = 0.0
    for name in set(base) | set(head):
        p = max(base.get(name, 0), 0.5) / total_base
        q = max(head.get(name, 0), 0.5) / total_head
        index += (q - p) * math.log(q / p)
    return index


def data_change(train: ir.Table, base_profile: Path | None, base_inputs: Iterable[Input]) -> DataChange:
    """Compare the base's training rows, known from its profile, with the head's, counted in one scan."""
    inputs = {item.name: item for item in base_inputs}
    removed = tuple(sorted(set(inputs) - set(train.columns)))
    if base_profile is None:
        return DataChange(None, int(train.count().execute()), removed)
    profile = json.loads(base_profile.read_text(encoding="utf-8"))
    types = train.schema()
    common = tuple(
        item
        for name, item in inputs.items()
        if name not in removed and name in profile["inputs"] and has_type(types[name], item.type, widened=True)
    )
    described: dict[str, Any] = profile["inputs"]
    edges = {name: entry["edges"] for name, entry in described.items() if "edges" in entry}
    counted = count_bins(train, common, edges)
    shift = {item.name: stability_index(described[item.name]["counts"], counted[item.name]) for item in common}
    ordered = sorted(((n, v) for n, v in shift.items() if not math.isnan(v)), key=lambda entry: -entry[1])
    rows = sum(next(iter(counted.values())).values()) if counted else int(train.count().execute())
    return DataChange(profile["rows"], rows, removed, tuple(ordered))


def side_changes(
    base: dict[str, dict[str, int]] | None, head: dict[str, dict[str, int]] | None
) -> tuple[tuple[str, ...], bool]:
    """Sentences on the training and test rows of both sides, and whether they differ.

    Args:
        base, head: `counts` of split.json; None where it has none.
    """
    if not base or not head:
        return (), False
    names = {"train": "Training rows", "test": "Test rows"}
    sentences = (f"{name}: {_counted(base[side])} → {_counted(head[side])}." for side, name in names.items())
    return tuple(sentences), base != head


def _counted(side: dict[str, int]) -> str:
    rows, positives = side["rows"], side.get("positives")
    if positives is None:
        return count(rows)
    return f"{count(rows)} with {of(positives, 'positive')} ({percent(positives / rows if rows else None)})"


def target_changes(own: float | None, row: MetricRow | None, moments: Moments | None) -> tuple[str, ...]:
    """Sentences on the base's headline metric on its own test rows and on the head's, and on a regression's targets.

    Args:
        own: the metric on the base's own test rows.
        moments: mean and standard deviation of the known targets of base and head.
    """
    sentences = []
    if own is not None and row is not None and row.base is not None:
        name = label(row.name)
        sentences.append(f"{name} of the base: {number(own)} on its own test rows, {number(row.base)} on the head's.")
    if moments:
        sides = [f"{number(mean)} (standard deviation {number(sd)})" for mean, sd in moments]
        sentences.append(f"Mean of the target: {' → '.join(sides)}.")
    return tuple(sentences)


def changed_code(base_sha: str) -> tuple[str, ...]:
    """The files that the review consists of and that differ from where the head began, uncommitted ones included."""
    begin = git.try_git("merge-base", base_sha, "HEAD") or base_sha
    changed = (git.try_git("diff", "--name-only", "-z", begin) or "").split("\0")
    return tuple(sorted(path for path in {*changed, *git.dirty()} if _OWN.fullmatch(path)))
