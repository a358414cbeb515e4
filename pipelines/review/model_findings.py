"""The findings about two models: measurements on the same rows, and the gates evaluated on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.errors import InputError
from pipelines.config.leaves import leaves
from pipelines.config.params import Params
from pipelines.config.paths import IMPORTANCE, METRICS, MODEL, SELECTION, SIGNATURE
from pipelines.config.read import PATH, read_yaml
from pipelines.model import critical_cases
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.model.signature import load_signature
from pipelines.repository import git
from pipelines.repository.base_model import Base
from pipelines.review import changes, compare, history, plots, row_changes
from pipelines.review.base_rows import BaseRows
from pipelines.review.candidates import candidate_rows
from pipelines.review.earlier_model import comparable_model
from pipelines.review.feature_changes import feature_changes
from pipelines.review.findings import DataChange, Kind
from pipelines.review.gates import evaluate
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.fairness import group_rows
from pipelines.review.gates.slices import slice_rows
from pipelines.review.reasons import is_new_reason
from pipelines.review.row_changes import RowChanges
from pipelines.review.weaker_rules import weaker_results
from pipelines.tables import leak_scores
from pipelines.tables.costs import costs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.leak_scores import LeakScores
from pipelines.tables.split import load_split, rows_on_side, split_boundaries

NO_CASE = "No critical case: write the requests that the model must answer right into tests/critical/ (docs/review.md)."


def declared_new_model(params: Params, base_params: str | None) -> str:
    """Say what makes the head a new model by the base's params.yaml alone; empty if it may be the base's.

    The base's model is then not needed, and not trained where no cache holds it.
    """
    try:
        base = read_yaml(base_params or "", "params.yaml of the base")
    except InputError:
        return ""
    schema = base.get("schema")
    before = {"model_name": base.get("model_name"), "task": base.get("task")}
    before["target"] = schema.get("target") if isinstance(schema, dict) else None
    return "" if None in before.values() else _new_model(params, before)


def _new_model(params: Params, before: dict[str, Any]) -> str:
    """Say in which of model name, task and target the head differs; empty if it does not."""
    now = {"model_name": params.model_name, "task": params.task, "target": params.table.target}
    changed = [f"{key} {before[key]!r} → {value!r}" for key, value in now.items() if before[key] != value]
    return f"A new model ({', '.join(changed)}): only absolute gates count." if changed else ""


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
    if changed := _new_model(params, before):
        return "new model", changed
    if version and base.md5 != model:
        return "restore", (
            f"A restore of {version}, which was released before: "
            "the comparison with the newer model is shown and does not block."
        )
    return "comparison", ""


def model_findings(params: Params, base: Base | None, kind: Kind, base_sha: str, base_rows: BaseRows) -> dict[str, Any]:
    """Score base and head on the same rows, and evaluate the gates by the rules of the head and of the base.

    Args:
        base: None on a new model.
        base_sha: the base's commit.
        base_rows: the rows that the base's model was made from.

    Returns:
        Fields of `Findings`.
    """
    connection = connect()
    table = read_rows(connection)
    split = load_split()
    head = Scorer(MODEL, SIGNATURE)
    base_scorer = Scorer(base.model, base.signature) if base else None
    earlier, why_not = None, None
    if base and base_scorer:
        try:
            earlier = comparable_model(table, params, base_scorer, base.commit)
        except InputError as error:
            why_not = str(error)
    same_choice = params.task == "classification" and base is not None and _chooses_like_head(params, split, base)
    compared = compare.compare(table, params, split, head, earlier, same_choice)
    measure_history = partial(history.measure, table, split=split, head=head, base=earlier)
    compared_versions = measure_history(params=params)
    importance = json.loads(IMPORTANCE.read_text(encoding="utf-8"))
    before: ir.Table | str = table if base_rows.unchanged else base_rows.why_not
    if base_rows.files:
        before = connection.read_parquet([str(path) for path in base_rows.files], union_by_name=True)
    compared_rows = _compare_rows(table, before, params, split, (base_scorer, head), base_rows.unchanged)
    inputs_of_base = base_scorer.signature.names if base_scorer else ()
    scored_inputs = None
    if not base_rows.prepared_alike or set(inputs_of_base) != set(params.inputs):
        known = before if base_rows.files and not compared_rows.why_not else None
        scored_inputs = _score_inputs(table, known, params, split, base)
    reason = params.gates.allow_gain or ""
    evidence = Evidence(
        params=params,
        kind=kind,
        head=MODEL,
        base=base.model if base and earlier else None,
        not_comparable=why_not,
        compared=compared,
        rows=len(compared.target),
        test_rows=len(compared.target) + compared.left_out,
        prevalence=float(compared.target.mean()) if params.task == "classification" and len(compared.target) else None,
        metrics=compare.metric_rows(compared, params.gates.resamples, params.gates.seed),
        history=compared_versions.rows,
        slices=slice_rows(compared, params),
        groups=group_rows(compared, params),
        critical=tuple(critical_cases.judge_files(head)),
        row_changes=compared_rows,
        importance=importance,
        new_inputs=tuple(name for name in params.inputs if base_scorer and name not in inputs_of_base),
        leak_scores=scored_inputs,
        allowed_gain=reason if is_new_reason("allow_gain", reason, base_sha) else "",
    )
    results = evaluate(evidence)
    measure = partial(_measure, table, compared, evidence, measure_history)
    weaker, weaker_rules = weaker_results(base_sha, results, evidence, head, measure)
    selection = json.loads(SELECTION.read_text(encoding="utf-8"))
    param_changes = changes.param_changes(git.text_at(base_sha, str(PATH)), PATH.read_text(encoding="utf-8"))
    features = None
    if base:
        rows_of_base = None if before is table or isinstance(before, str) else before
        texts = git.text_at(base.commit, str(PATH)), PATH.read_text(encoding="utf-8")
        features = feature_changes(*texts, params.table.key, table, rows_of_base)
    return {
        "params": param_changes,
        "gates": (*results, *weaker),
        "weaker_rules": weaker_rules,
        "rows": evidence.rows,
        "left_out": compared.left_out,
        "metrics": evidence.metrics,
        "history": evidence.history,
        "notes": (
            *compared_versions.notes,
            *([] if evidence.critical else [NO_CASE]),
        ),
        "slices": evidence.slices,
        "slice_metric": params.slices.metric,
        "groups": evidence.groups,
        "critical": evidence.critical,
        "candidates": candidate_rows(params.candidates, selection, param_changes),
        "criterion": selection["criterion"],
        "winner": selection["winner"],
        "base_winner": _winner_at(base.commit) if base else None,
        "importance": importance,
        "plots": plots.plots(compared) if evidence.rows else (),
        "value": params.value,
        "threshold": (compared.base_threshold, compared.head_threshold),
        "features": features,
        "data": _data_change(table, params, split, base, evidence) if base else None,
    }


def _chooses_like_head(params: Params, split: dict[str, Any], base: Base) -> bool:
    """Whether the base chose its threshold by the head's rule, on the same side of the same split."""
    before = load_split(base.split) if base.split else {}
    rule = params.selection.threshold.model_dump(exclude_none=True) if params.selection.threshold else {}
    now = {f"selection.threshold.{key}": json.dumps(value) for key, value in rule.items()}
    of_base = leaves(git.text_at(base.commit, str(PATH)))
    rule_of_base = {path: value for path, value in of_base if path.startswith("selection.threshold.")}
    same_split = {**before, "counts": None} == {**split, "counts": None}
    return same_split and rule_of_base == now


def _measure(
    table: ir.Table,
    compared: compare.Compared,
    evidence: Evidence,
    measure_history: Callable[..., history.History],
    params: Params,
) -> Evidence:
    """The evidence by other settings."""
    compared = replace(compared, costs=costs_of(compared.arrow, compared.target, params.value))
    test = rows_on_side(table, params, split_boundaries(table, params), "test")
    return replace(
        evidence,
        params=params,
        compared=compared,
        test_rows=int(test.count().execute()),
        metrics=compare.metric_rows(compared, params.gates.resamples, params.gates.seed),
        history=measure_history(params=params).rows,
        slices=slice_rows(compared, params),
        groups=group_rows(compared, params),
    )


def _compare_rows(
    table: ir.Table,
    before: ir.Table | str,
    params: Params,
    split: dict[str, Any],
    scorers: tuple[Scorer | None, Scorer],
    unchanged: bool,
) -> RowChanges:
    """What happened to the base's rows; nothing is read where they and the positive class are the same.

    Args:
        scorers: of base and head.
    """
    base, head = scorers
    same_classes = base and (not base.signature.classes or base.signature.classes[-1] == params.table.positive)
    if unchanged and same_classes:
        return RowChanges()
    return row_changes.row_changes(table, before, params, split, base, head)


def _score_inputs(
    table: ir.Table, before: ir.Table | None, params: Params, split: dict[str, Any], base: Base | None
) -> LeakScores:
    """Leak scores of the head's inputs, and of the base's: on the base's rows if they are known, else on the head's."""
    inputs = {item.name: item for item in inputs_of(params)}
    of_base = load_signature(base.signature).inputs if base else ()
    names = tuple(item.name for item in of_base)
    if base and base.split and before is not None:
        head = leak_scores.Sample(table, params, split, tuple(inputs.values()))
        return leak_scores.leak_scores(
            head, leak_scores.Sample(before, params, load_split(base.split), of_base), params.inputs, names
        )
    both = {item.name: item for item in of_base if item.name in table.columns} | inputs
    head = leak_scores.Sample(table, params, split, tuple(both.values()))
    return leak_scores.leak_scores(head, head if base and set(names) <= set(both) else None, params.inputs, names)


def _winner_at(commit: str) -> str | None:
    """The candidate that won at a commit; None if its report is not there or cannot be read."""
    try:
        return str(json.loads(git.text_at(commit, str(SELECTION)) or "")["winner"])
    except (ValueError, KeyError, TypeError):
        return None


def _data_change(table: ir.Table, params: Params, split: dict[str, Any], base: Base, evidence: Evidence) -> DataChange:
    train = rows_on_side(table, params, split, "train")
    change = changes.data_change(train, base.profile, base.signature)
    sides, sides_changed = changes.side_changes(
        load_split(base.split).get("counts") if base.split else None, split.get("counts")
    )
    own = json.loads(git.text_at(base.commit, str(METRICS)) or "{}").get("test", {})
    row = next((row for row in evidence.metrics if row.name == params.gates.headline), None)
    sides += changes.score_change(own.get(params.gates.headline), row)
    if params.task == "regression" and evidence.row_changes and evidence.row_changes.target:
        sides += changes.target_change(*evidence.row_changes.target)
    return replace(change, sides=sides, sides_changed=sides_changed)
