"""The findings about two models: measurements on the same rows, and the gates evaluated on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
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
from pipelines.review import changes, compare, history, plots
from pipelines.review.findings import DataChange, Kind
from pipelines.review.gates import evaluate
from pipelines.review.gates.evidence import Evidence, ModelFiles
from pipelines.review.gates.fairness import group_rows
from pipelines.review.gates.slices import slice_rows
from pipelines.review.weaker_rules import weaker_results
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


def model_findings(params: Params, base: Base | None, kind: Kind, base_sha: str) -> dict[str, Any]:
    """Score base and head on the same rows, and evaluate the gates by the rules of the head and of the base.

    Args:
        base: None if the base has no model.
        base_sha: the base's commit.

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
    measure_history = partial(history.measure, table, split=split, head=head, base=base_scorer if comparable else None)
    past = measure_history(params=params)
    evidence = Evidence(
        params=params,
        kind=kind,
        head=ModelFiles(MODEL, SIGNATURE),
        base=ModelFiles(base.model, base.signature) if base and comparable else None,
        not_comparable=why_not,
        rows=len(compared.target),
        prevalence=float(compared.target.mean()) if params.task == "classification" and len(compared.target) else None,
        metrics=compare.metric_rows(compared, params.gates.resamples, params.gates.seed),
        history=past.rows,
        slices=slice_rows(compared, params),
        groups=group_rows(compared, params),
        critical=tuple(critical_cases.judge(head, case) for case in critical_cases.load()),
    )
    results = evaluate(evidence)
    measure = partial(_measure, compared, evidence, measure_history)
    weaker, weaker_rules = weaker_results(base_sha, results, evidence, head, measure)
    selection = json.loads(SELECTION.read_text(encoding="utf-8"))
    return {
        "gates": (*results, *weaker),
        "weaker_rules": weaker_rules,
        "rows": evidence.rows,
        "left_out": compared.left_out,
        "metrics": evidence.metrics,
        "history": evidence.history,
        "notes": past.notes,
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


def _measure(
    compared: compare.Compared,
    evidence: Evidence,
    measure_history: Callable[..., history.History],
    params: Params,
) -> Evidence:
    """The evidence by other settings; only what they change is measured again."""
    gates, before = params.gates, evidence.params
    same_draws = (gates.resamples, gates.seed) == (before.gates.resamples, before.gates.seed)
    same_history = same_draws and gates.history == before.gates.history
    same_slices = same_draws and (params.slices, params.table) == (before.slices, before.table)
    same_groups = (params.fairness, params.table) == (before.fairness, before.table)
    return replace(
        evidence,
        params=params,
        metrics=evidence.metrics if same_draws else compare.metric_rows(compared, gates.resamples, gates.seed),
        history=evidence.history if same_history else measure_history(params=params).rows,
        slices=evidence.slices if same_slices else slice_rows(compared, params),
        groups=evidence.groups if same_groups else group_rows(compared, params),
    )


def _data_change(table: ir.Table, params: Params, split: dict[str, Any], base: Base) -> DataChange:
    train = rows_on_side(table, params, split, "train")
    return changes.data_change(train, base.profile, base.signature)
