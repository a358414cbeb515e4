"""From two models to findings: what is judged in a comparison, a restore, and a new line."""

from __future__ import annotations

import json
from typing import Any

import ibis.expr.types as ir

from pipelines.config.params import Params
from pipelines.config.paths import IMPORTANCE, MODEL, SELECTION, SIGNATURE
from pipelines.model import critical_cases
from pipelines.model.scorer import Scorer
from pipelines.model.signature import load_signature
from pipelines.repository.base_model import Base
from pipelines.review import changes, compare, fairness, gates, plots, slices
from pipelines.review.findings import DataChange, Gate, Kind
from pipelines.tables.data import connect, read_data
from pipelines.tables.split import load_split, rows_on_side


def kind_of(params: Params, base: Base | None, model: str, version: str | None) -> tuple[Kind, str]:
    """What kind of review this is, and the note that says why it is not a comparison.

    Args:
        model: md5 of the head's model.
        version: tag under which the head's release id is registered, if it is.
    """
    if base is None:
        return "new line", "The base has no model: there is nothing to compare with, and only absolute gates count."
    signature = load_signature(base.signature)
    theirs = {"model_name": signature.model_name, "task": signature.task, "target": signature.target}
    ours = {"model_name": params.model_name, "task": params.task, "target": params.table.target}
    other = [f"{key} {theirs[key]!r} → {value!r}" for key, value in ours.items() if theirs[key] != value]
    if other:
        return "new line", f"A new line ({', '.join(other)}): only absolute gates count."
    if version and base.md5 != model:
        return "restore", (
            f"A restore of {version}, which was released before: integrity, critical cases and file checks block; "
            "the comparison with the newer model is shown, not judged."
        )
    return "comparison", ""


def judge(params: Params, base: Base | None, kind: Kind) -> dict[str, Any]:
    """Score, compare and judge.

    Args:
        base: None where there is nothing to compare with.

    Returns:
        Fields of `Findings`.
    """
    table = read_data(connect())
    split = load_split()
    head = Scorer(MODEL, SIGNATURE)
    other = Scorer(base.model, base.signature) if base and kind != "new line" else None
    refused = compare.not_comparable(table, other.signature, params.table.event_time) if other else None
    compared = compare.compare(table, params, split, head, None if refused else other)
    metric_rows = compare.metric_rows(compared, params.gates.resamples, params.gates.seed)
    slice_rows = slices.slice_rows(compared, params)
    groups = fairness.group_rows(compared, params)
    cases = tuple(critical_cases.judge(head, case) for case in critical_cases.load())
    judged = [*gates.floor_gates(metric_rows, params)]
    if refused:
        judged.append(Gate("comparable", "comparison", False, None, None, refused, blocks=kind == "comparison"))
    elif other:
        if not len(compared.target):
            why = "not comparable: main's model was trained on every test row of this head"
            judged.append(Gate("comparable", "comparison", False, None, None, why))
        judged += gates.regression_gates(metric_rows, params)
    judged += slices.slice_gates(slice_rows, params)
    judged += fairness.fairness_gates(groups, params)
    always = gates.critical_gates(cases) + [*gates.file_gates(MODEL, params)]
    if other and base and not refused:
        always += gates.time_gates((MODEL, SIGNATURE), (base.model, base.signature), params)
    selection = json.loads(SELECTION.read_text(encoding="utf-8"))
    return {
        "gates": tuple((gates.shown_only(judged) if kind == "restore" else judged) + always),
        "rows": len(compared.target),
        "left_out": compared.left_out,
        "metrics": metric_rows,
        "slices": slice_rows,
        "slice_metric": params.slices.metric,
        "groups": groups,
        "critical": cases,
        "candidates": selection["candidates"],
        "winner": selection["winner"],
        "importance": json.loads(IMPORTANCE.read_text(encoding="utf-8")),
        "plots": plots.plots(compared) if len(compared.target) else (),
        "threshold": (compared.base_threshold, compared.head_threshold),
        "data": _data_change(table, params, split, base, kind) if base else None,
    }


def _data_change(table: ir.Table, params: Params, split: dict[str, Any], base: Base, kind: Kind) -> DataChange | None:
    if kind == "new line":
        return None
    train = rows_on_side(table, params, split, "train")
    return changes.data_change(train, base.profile, base.signature)
