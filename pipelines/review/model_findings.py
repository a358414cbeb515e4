"""The findings about two models: measurements on the same rows, and the gates evaluated on them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.config.paths import IMPORTANCE, METRICS, MODEL, SELECTION, SIGNATURE
from pipelines.config.read import PATH, read_yaml
from pipelines.model import critical_cases
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, Signature
from pipelines.repository import git
from pipelines.repository.base_model import Base
from pipelines.repository.leaves import leaves
from pipelines.review import changes, compare, row_changes
from pipelines.review.base_rows import BaseRows
from pipelines.review.base_rules import identity, is_new_reason
from pipelines.review.candidates import candidate_rows
from pipelines.review.earlier_model import comparable_model
from pipelines.review.feature_changes import feature_changes
from pipelines.review.findings import Findings, HistoryRow, Kind, ParamChange
from pipelines.review.gates import evaluate, history
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.fairness import group_rows
from pipelines.review.gates.slices import slice_rows
from pipelines.review.weaker_rules import weaker_results
from pipelines.tables.costs import costs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.leak_scores import LeakScores, Sample, leak_scores
from pipelines.tables.split import load_split, rows_on_side, split_boundaries

NO_CASE = "No critical case: write the requests that the model must answer right into tests/critical/ (docs/review.md)."


def new_model(params: Params, base: str | Signature | None) -> str:
    """Say what makes the head a new model; empty if it is the base's.

    Args:
        base: its params.yaml, by which its model need not be trained where no cache holds it; then what that model
            predicts, which the parameters of a commit that was not reproduced do not tell.
    """
    try:
        before = (
            asdict(base) if isinstance(base, Signature) else identity(read_yaml(base or "", "params.yaml of the base"))
        )
    except InputError:
        return ""
    now = identity(params.model_dump(by_alias=True))
    changed = [f"{key} {before[key]!r} → {value!r}" for key, value in now.items() if before[key] not in (None, value)]
    return f"A new model ({', '.join(changed)}): only absolute gates count." if changed else ""


def review_kind(new: str, base: Base | None, model: str, version: str | None) -> tuple[Kind, str]:
    """The kind of the review, and a sentence that explains it unless it is a comparison.

    Args:
        new: what makes it a new model.
        model: md5 of the head's model.
        version: version under which the head's release id is registered, None if it is not.
    """
    if base is None:
        no_model = "The base has no model: there is nothing to compare with, and only absolute gates count."
        return "new model", new or no_model
    if version and base.md5 != model:
        return "restore", (
            f"A restore of {version}, which was released before: "
            "the comparison with the newer model is shown and does not block."
        )
    return "comparison", ""


def model_findings(findings: Findings, params: Params, base: Base | None, base_rows: BaseRows) -> Findings:
    """Score base and head on the same rows, and evaluate the gates by the rules of the head and of the base.

    Args:
        findings: what is known before, the base's commit among it.
        base: None on a new model.
        base_rows: the rows that the base's model was made from.
    """
    connection = connect()
    table = read_rows(connection)
    split = load_split()
    base_split = load_split(base.split) if base and base.split else {}
    base_sha = str(findings.base.sha)
    texts = git.text_at(base_sha, str(PATH)), PATH.read_text(encoding="utf-8")
    head = Scorer(MODEL, SIGNATURE)
    base_scorer, earlier, why_not = None, None, None
    if base:
        base_scorer = Scorer(base.model, base.signature)
        try:
            earlier = comparable_model(table, params, base_scorer, base.commit)
        except InputError as error:
            why_not = str(error)
    same_choice = bool(base) and _chooses_like_base(params, split, base_split, texts[0])
    compared = compare.compare(table, params, split, head, earlier, same_choice)
    before = None
    if base_rows.files:
        before = connection.read_parquet([str(path) for path in base_rows.files], union_by_name=True)
    known = table if base_rows.unchanged else base_rows.why_not if before is None else before
    changed_rows = row_changes.row_changes(table, known, params, split, base_scorer, head)
    inputs_of_base = base_scorer.signature.inputs if base_scorer else ()
    names_of_base = {item.name for item in inputs_of_base}
    leaks = None
    if not base_rows.prepared_alike or names_of_base != set(params.inputs):
        rows_of_base = (before, base_split) if before is not None and base_split and not changed_rows.why_not else None
        leaks = _leak_scores(table, params, split, inputs_of_base, rows_of_base)
    importance = json.loads(IMPORTANCE.read_text(encoding="utf-8"))
    reason = params.gates.allow_gain or ""
    measured = Evidence(
        params=params,
        kind=findings.kind,
        head=MODEL,
        base=base.model if base and earlier else None,
        not_comparable=why_not,
        compared=compared,
        rows=len(compared.target),
        prevalence=float(compared.target.mean()) if params.task == "classification" and len(compared.target) else None,
        critical=tuple(critical_cases.judge_files(head)),
        row_changes=changed_rows,
        importance=importance,
        new_inputs=tuple(name for name in params.inputs if base and name not in names_of_base),
        leak_scores=leaks,
        allowed_gain=reason if is_new_reason("allow_gain", reason, base_sha) else "",
    )
    measure_history = partial(history.measure, table, split=split, head=head, base=earlier)
    versions, history_notes = measure_history(params)
    by_rules = partial(_by_rules, measured, table, compared)
    evidence = by_rules(params, versions)
    results = evaluate(evidence)
    weaker, weaker_rules = weaker_results(
        base_sha, results, evidence, head, lambda rules: by_rules(rules, measure_history(rules)[0])
    )
    data = None
    sides, sides_changed = changes.side_changes(base_split.get("counts"), split.get("counts"))
    if base and (sides_changed or not base_rows.prepared_alike):
        data = changes.data_change(rows_on_side(table, params, split, "train"), base.profile, inputs_of_base)
        own = json.loads(git.text_at(base.commit, str(METRICS)) or "{}").get("test", {}).get(params.gates.headline)
        row = next((row for row in evidence.metrics if row.name == params.gates.headline), None)
        moments = changed_rows.target if params.task == "regression" else None
        data = replace(data, sides=sides + changes.target_changes(own, row, moments))
    selection = json.loads(SELECTION.read_text(encoding="utf-8"))
    param_changes = changes.param_changes(*texts)
    return replace(
        findings,
        params=param_changes,
        gates=(*results, *weaker),
        weaker_rules=weaker_rules,
        rows=evidence.rows,
        left_out=compared.left_out,
        metrics=evidence.metrics,
        history=evidence.history,
        notes=(
            *findings.notes,
            *history_notes,
            *([] if evidence.critical else [NO_CASE]),
            *_note_on_weaker_rules(weaker_rules, params.gates.allow_weaker),
        ),
        slices=evidence.slices,
        slice_metric=params.slices.metric,
        groups=evidence.groups,
        critical=evidence.critical,
        candidates=candidate_rows(params.candidates, selection, param_changes),
        criterion=selection["criterion"],
        winner=selection["winner"],
        base_winner=_winner_at(base.commit) if base else None,
        importance=importance,
        plots=compare.plots(compared) if evidence.rows else (),
        value=params.value,
        threshold=(compared.base_threshold, compared.head_threshold),
        features=feature_changes(*texts, params.table.key, table, before) if base else None,
        data=data,
    )


def _chooses_like_base(
    params: Params, split: dict[str, Any], base_split: dict[str, Any], base_params: str | None
) -> bool:
    """Whether the base chose its threshold by the head's rule, on the same side of the same split."""
    rule = params.selection.threshold.model_dump(exclude_none=True) if params.selection.threshold else {}
    now = {f"selection.threshold.{key}": json.dumps(value) for key, value in rule.items()}
    before = {path: value for path, value in leaves(base_params) if path.startswith("selection.threshold.")}
    same_split = {**base_split, "counts": None} == {**split, "counts": None}
    return params.task == "classification" and same_split and before == now


def _by_rules(
    measured: Evidence, table: ir.Table, compared: compare.Compared, rules: Params, versions: Sequence[HistoryRow]
) -> Evidence:
    """The evidence with what the rules of a params.yaml decide how to measure."""
    compared = replace(compared, costs=costs_of(compared.arrow, compared.target, rules.value))
    test = rows_on_side(table, rules, split_boundaries(table, rules), "test")
    return replace(
        measured,
        params=rules,
        compared=compared,
        test_rows=int(test.count().execute()),
        metrics=compare.metric_rows(compared, rules.gates.resamples, rules.gates.seed),
        history=tuple(versions),
        slices=slice_rows(compared, rules),
        groups=group_rows(compared, rules),
    )


def _leak_scores(
    table: ir.Table,
    params: Params,
    split: dict[str, Any],
    of_base: tuple[Input, ...],
    rows_of_base: tuple[ir.Table, dict[str, Any]] | None,
) -> LeakScores:
    """Leak scores of the head's inputs, and of the base's: on the base's rows if they are known, else on the head's.

    Args:
        rows_of_base: with their split.
    """
    inputs = {item.name: item for item in inputs_of(params)}
    names = tuple(item.name for item in of_base)
    if rows_of_base:
        head = Sample(table, params, split, tuple(inputs.values()))
        before, base_split = rows_of_base
        return leak_scores(head, Sample(before, params, base_split, of_base), params.inputs, names)
    both = {item.name: item for item in of_base if item.name in table.columns} | inputs
    head = Sample(table, params, split, tuple(both.values()))
    return leak_scores(head, head if of_base and set(names) <= set(both) else None, params.inputs, names)


def _note_on_weaker_rules(rules: tuple[ParamChange, ...], reason: str | None) -> list[str]:
    changed = "; ".join(f"{rule.path}: {rule.base} → {rule.head or 'removed'}" for rule in rules)
    allowed = f" Allowed: {reason}" if reason else ""
    return [f"Rules that are weaker than the base's (base → head): {changed}.{allowed}"] if rules else []


def _winner_at(commit: str) -> str | None:
    """The candidate that won at a commit; None if its report is not there or cannot be read."""
    try:
        return str(json.loads(git.text_at(commit, str(SELECTION)) or "")["winner"])
    except (ValueError, KeyError, TypeError):
        return None
