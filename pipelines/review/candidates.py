"""The candidates of the head: what each is, what differs from the base, and its score on the validation rows."""

from __future__ import annotations

from typing import Any

from pipelines.config.candidates import Candidates
from pipelines.metrics.table import label
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
        candidate = candidates[name]
        steps = [step.estimator.rpartition(".")[2] for step in (*candidate.before, candidate)]
        start = f"candidates.{name}."
        changed = [change for change in changes if change.path.startswith(start)]
        is_new = any(change.path == f"{start}estimator" and change.base is None for change in changed)
        texts = ["new"] if is_new else [_describe(change, start) for change in changed]
        low, high = selection["intervals"][name]
        size = selection["bytes"][name]
        rows.append(CandidateRow(name, " → ".join(steps), "; ".join(texts), values, low, high, size))
    return tuple(sorted(rows, key=lambda row: row.name != selection["winner"]))


def _describe(change: ParamChange, start: str) -> str:
    name = change.path.removeprefix(start).removeprefix("params.")
    return f"{name} {change.base or '—'} → {change.head or '—'}"


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
