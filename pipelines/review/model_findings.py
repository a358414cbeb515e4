"""The findings about two models: measurements on the same rows, and the gates evaluated on them."""

from __future__ import annotations

import json
from typing import Any

import ibis.expr.types as ir

from pipelines.config.params import Params
from pipelines.config.paths import IMPORTANCE, MODEL, SELECTION, SIGNATURE
from pipelines.config.read import PATH, read_text, read_yaml
from pipelines.model import critical_cases
from pipelines.model.scorer import Scorer
from pipelines.model.signature import load_signature
from pipelines.repository.base_model import Base
from pipelines.repository.git import text_at
from pipelines.review import changes, compare, plots
from pipelines.review.findings import DataChange, Kind
from pipelines.review.gates import evaluate
from pipelines.review.gates.evidence import Evidence, ModelFiles
from pipelines.review.gates.fairness import group_rows
from pipelines.review.gates.slices import slice_rows
from pipelines.tables.data import connect, read_data
from pipelines.tables.split import load_split, rows_on_side


def review_kind(params: Params, base: Base | None, model: str, version: str | None) -> tuple[Kind, str]:
    """The kind of the review, and a note that explains it unless it is a comparison.

    Args:
        model: md5 of the head's model.
        version: version under which the head's release id is registered, None if it is not.
    """
    if base is None:
        return "new model", "The base has no model: there is nothing to compare with, and only absolute gates count."
    signature = load_signature(base.signature)
    before = {"model_name": signature.model_name, "task": signature.task, "target": signature.target}
    now = {"model_name": params.model_name, "task": params.task, "target": params.table.target}
    changed = [f"{key} {before[key]!r} → {value!r}" for key, value in now.items() if before[key] != value]
    if changed:
        return "new model", f"A new model ({', '.join(changed)}): only absolute gates count."
    if version and base.md5 != model:
        return "restore", (
            f"A restore of {version}, which was released before: validation, critical cases and file checks block; "
            "the comparison with the newer model is shown and does not block."
        )
    return "comparison", ""


def model_findings(params: Params, base: Base | None, kind: Kind) -> dict[str, Any]:
    """Score base and head on the same rows, and evaluate the gates.

    Args:
        base: None if the base has no model.

    Returns:
        Fields of `Findings`.
    """
    table = read_data(connect())
    split = load_split()
    head = Scorer(MODEL, SIGNATURE)
    base_scorer = Scorer(base.model, base.signature) if base and kind != "new model" else None
    why_not = compare.not_comparable(table, base_scorer.signature, params.table.event_time) if base_scorer else None
    comparable = base_scorer is not None and why_not is None
    same_choice = base is not None and _chooses_like_head(params, split, base)
    compared = compare.compare(table, params, split, head, base_scorer if comparable else None, same_choice)
    evidence = Evidence(
        params=params,
        kind=kind,
        head=ModelFiles(MODEL, SIGNATURE),
        base=ModelFiles(base.model, base.signature) if base and comparable else None,
        not_comparable=why_not,
        rows=len(compared.target),
        prevalence=float(compared.target.mean()) if params.task == "classification" and len(compared.target) else None,
        metrics=compare.metric_rows(compared, params.gates.resamples, params.gates.seed),
        slices=slice_rows(compared, params),
        groups=group_rows(compared, params),
        critical=tuple(critical_cases.judge(head, case) for case in critical_cases.load()),
    )
    selection = json.loads(SELECTION.read_text(encoding="utf-8"))
    return {
        "gates": evaluate(evidence),
        "rows": evidence.rows,
        "left_out": compared.left_out,
        "metrics": evidence.metrics,
        "slices": evidence.slices,
        "slice_metric": params.slices.metric,
        "groups": evidence.groups,
        "critical": evidence.critical,
        "candidates": selection["candidates"],
        "winner": selection["winner"],
        "importance": json.loads(IMPORTANCE.read_text(encoding="utf-8")),
        "plots": plots.plots(compared) if evidence.rows else (),
        "value": params.value,
        "threshold": (compared.base_threshold, compared.head_threshold),
        "data": _data_change(table, params, split, base) if base and kind != "new model" else None,
    }


def _chooses_like_head(params: Params, split: dict[str, Any], base: Base) -> bool:
    """Whether the base chose its threshold by the head's rule, on validation rows that are split off the same way."""
    if params.task == "regression":
        return False
    trained_until = load_signature(base.signature).trained_until
    if trained_until is not None and trained_until > split["test_from"]:
        return False
    before, now = text_at(base.commit, PATH.as_posix()), read_text()
    documents = [read_yaml(text or "{}", str(PATH)) for text in (before, now)]
    sections = [(document.get("split"), document.get("selection", {}).get("threshold")) for document in documents]
    return sections[0] == sections[1]


def _data_change(table: ir.Table, params: Params, split: dict[str, Any], base: Base) -> DataChange:
    train = rows_on_side(table, params, split, "train")
    return changes.data_change(train, base.profile, base.signature)
