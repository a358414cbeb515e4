"""The candidates of the head: what each is, what differs from the base, and its score on the validation rows."""

import re
from collections.abc import Iterator
from typing import Any

from pipelines.config.candidates import Candidates
from pipelines.config.metrics import label
from pipelines.pages.numbers import number
from pipelines.review.findings import CandidateRow, Findings, ParamChange


def candidate_rows(
    candidates: Candidates, selection: dict[str, Any], changes: tuple[ParamChange, ...]
) -> tuple[CandidateRow, ...]:
    """The candidates, the chosen one first.

    Args:
        selection: the content of reports/candidates.json.
        changes: of params.yaml, from the base to the head.
    """
    rows = []
    for name, values in selection["candidates"].items():
        start = f"candidates.{name}."
        texts = _differences([change for change in changes if change.path.startswith(start)], start)
        low, high = selection["intervals"][name]
        size = selection["bytes"][name]
        classes = _classes(candidates[name].model_dump())
        rows.append(CandidateRow(name, classes, "; ".join(texts), values, low, high, size))
    return tuple(sorted(rows, key=lambda row: row.name != selection["winner"]))


def _classes(step: dict[str, Any]) -> str:
    """The classes of an estimator with the steps before it and, in brackets, the estimators that it holds."""
    held = ", ".join(map(_classes, _held(list(step.get("params", {}).values()))))
    own = step["estimator"].rpartition(".")[2] + f" ({held})" * bool(held)
    return " → ".join([*map(_classes, step.get("before", ())), own])


def _held(value: Any) -> Iterator[dict[str, Any]]:
    """The estimators in the parameters of another."""
    if isinstance(value, list):
        for item in value:
            yield from _held(item)
    elif isinstance(value, dict) and "estimator" in value:
        yield value


def _differences(changes: list[ParamChange], start: str) -> list[str]:
    """What differs in a candidate, as texts; of an estimator in it that one side lacks, only that."""
    whole = {
        change.path.removesuffix("estimator"): "new" if change.base is None else "removed"
        for change in changes
        if re.search(r"(?<!\.params)\.estimator$", change.path) and None in (change.base, change.head)
    }
    outer = [path for path in whole if not any(path != other and path.startswith(other) for other in whole)]
    return [f"{_name(path, start)} {whole[path]}".strip() for path in outer] + [
        f"{_name(change.path, start)} {change.base or '—'} → {change.head or '—'}"
        for change in changes
        if not change.path.startswith(tuple(outer))
    ]


def _name(path: str, start: str) -> str:
    return path.removeprefix(start).removeprefix("params.").replace(".params.", ".").rstrip(".")


def training_seconds(findings: Findings) -> dict[str, float]:
    """How long the candidates trained that this review trained, by name."""
    ran = {stage.name: stage.seconds for stage in findings.stages if stage.state == "ran"}
    return {row.name: ran[f"train@{row.name}"] for row in findings.candidates if f"train@{row.name}" in ran}


def console_lines(document: dict[str, Any]) -> list[str]:
    """The candidates of a review.json, one a line."""
    metric, rows = document["criterion"], document["candidates"]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [f"Candidates by {label(metric)} on the validation rows:"] if rows else []
    for row in rows:
        interval = f" ({number(row['low'])} to {number(row['high'])})" if row["low"] is not None else ""
        parts = [f"{number(row['values'][metric])}{interval}", row["estimator"], f"{row['size'] / 1e6:.1f} MB"]
        chosen = " (chosen)" if row["name"] == document["winner"] else ""
        lines.append(f"  {row['name']:{width}}  {', '.join(filter(None, [*parts, row['changed']]))}{chosen}")
    return lines
