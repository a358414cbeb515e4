"""One review: reproduce the head, fetch the base's model, evaluate the gates, write the report, print the verdict."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.cli.errors import AlreadyPrinted, MainlineError
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params, load
from pipelines.config.paths import MODEL, NOT_REPRODUCIBLE, REVIEW, SELECTION, VALIDATION
from pipelines.config.read import PATH
from pipelines.repository import dvc_lock, git
from pipelines.repository.dvc import file_md5
from pipelines.repository.release_id import registered_version, worktree_release_id
from pipelines.review import base_rows, report_cache
from pipelines.review.base_rows import BaseRows
from pipelines.review.candidates import console_lines
from pipelines.review.findings import DataChange, Findings, GateResult, Side, StageRow, data_errors, summary

MAX_NAMED = 8  # gates that the console names
# Groups of gates that need what is fetched: what cannot be fetched now may be there in the next review.
NEED_FETCHED = ("rows", "history")


@dataclass(frozen=True)
class Reproduced:
    """How `repro` ended: exit code, the error it reported, the stages, and notes for the reader of the report."""

    code: int
    error: dict[str, Any] | None
    stages: tuple[StageRow, ...]
    notes: tuple[str, ...]


def review(base: str | None = None, again: bool = False) -> int:
    """Review the work tree against a base and print the verdict.

    Args:
        base: revision to compare with.
        again: write a new report even if the last one was made from the same inputs.

    Returns:
        0 if every gate passed, 1 if a gate failed.
    """
    progress = Progress()
    last = report_cache.take_report()
    params = load()
    base_name, base_sha = git.base_commit(base)
    if base_sha.startswith(base_name):
        base_name = base_sha[:7]
    progress.print(f"Review of {git.branch()} against {base_name} ({base_sha[:7]})")
    reproduced = _reproduce()
    if reproduced.code:
        findings = _stopped_findings(params, reproduced, base_name, base_sha)
        _write(findings, "", progress)
        return _print_verdict(findings.to_json(), progress)
    notes = [*reproduced.notes, *_uncommitted_note()]
    key = report_cache.inputs_key(base_sha, notes)
    if not again and (document := report_cache.use_again(last, key)):
        progress.print("Nothing changed since the last review; `make review AGAIN=1` writes a new report.")
        return _print_verdict(document, progress)
    findings = _findings(params, base_name, base_sha, notes, reproduced.stages, progress)
    _write(findings, key, progress)
    return _print_verdict(findings.to_json(), progress)


def _reproduce() -> Reproduced:
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        path = Path(scratch) / "repro.json"
        code = run_verb("repro", "--report", str(path)).returncode
        document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    stages = tuple(StageRow(**stage) for stage in document.get("stages", []))
    return Reproduced(code, document.get("error"), stages, tuple(document.get("notes", [])))


def _findings(
    params: Params,
    base_name: str,
    base_sha: str,
    notes: list[str],
    stages: tuple[StageRow, ...],
    progress: Progress,
) -> Findings:
    """The findings of a head whose pipeline ran to its end."""
    from pipelines.repository import base_model
    from pipelines.review.model_findings import declared_new_model, model_findings, review_kind
    from pipelines.review.own_code import changed_code

    new_model = declared_new_model(params, git.text_at(base_sha, str(PATH)))
    # A new model is compared with nothing, so the base's is not trained where no cache holds it.
    base = None if new_model else base_model.fetch(base_sha, progress)
    release_id = worktree_release_id()
    model = file_md5(MODEL)
    version = registered_version(params.model_name, release_id, dvc_lock.data_md5(dvc_lock.read()))
    kind, explanation = review_kind(params, base, model, version)
    notes = [new_model or explanation] * bool(new_model or explanation) + notes
    if base and base.md5 != base.locked_md5:
        notes.append(f"The base's model was reproduced as {base.md5}; its dvc.lock names {base.locked_md5}.")
    if not_reproducible := _reproducibility_note():
        progress.print(not_reproducible)
        notes.append(not_reproducible)
    compared_with = None if kind == "new model" else base
    rows_of_base = base_rows.fetch(compared_with, progress) if compared_with else BaseRows()
    with progress.step("Scoring both models on the same rows"):
        fields = model_findings(params, compared_with, kind, base_sha, rows_of_base)
    notes += fields.pop("notes", ())
    if weaker := fields.get("weaker_rules"):
        rules = "; ".join(f"{rule.path}: {rule.base} → {rule.head or 'removed'}" for rule in weaker)
        allowed = f" Allowed: {params.gates.allow_weaker}" if params.gates.allow_weaker else ""
        notes.append(f"Rules that are weaker than the base's (base → head): {rules}.{allowed}")
    base_side = Side(base_name, base_sha, None)
    if base:
        base_side = Side(base_name, base_sha, base.md5, base.locked_md5, base.source)
    findings = Findings(
        name=params.model_name,
        task=params.task,
        kind=kind,
        headline=params.gates.headline,
        base=base_side,
        head=Side(git.branch(), git.commit_of("HEAD"), model, model),
        notes=tuple(notes),
        stages=stages,
        release=release_id,
        pull_request=_pull_request(),
        changed_code=changed_code(base_sha),
        **fields,
    )
    return replace(findings, data=_reported_data_change(findings.data, params, rows_of_base, progress))


def _reported_data_change(
    change: DataChange | None, params: Params, base_rows: BaseRows, progress: Progress
) -> DataChange | None:
    """The change of the data, None if neither the rows nor the split changed.

    If the rows changed and the base's are there, an Evidently page is written beside the report.
    """
    if change is None or base_rows.prepared_alike:
        return change if change and change.sides_changed else None
    from pipelines.review import evidently_page

    with progress.step("Drawing what changed in the data (Evidently)"):
        outcome = evidently_page.write(REVIEW / "data.html", params, base_rows)
    return replace(change, evidently=outcome)


def _stopped_findings(params: Params, reproduced: Reproduced, base_name: str, base_sha: str) -> Findings:
    """The findings of a head whose rows have errors; any other error of the reproduction ends the review.

    Raises:
        MainlineError: if another stage than `validate` failed.
    """
    from pipelines.review.gates import evaluate
    from pipelines.review.gates.evidence import Evidence

    failed_stage = next((stage.name for stage in reproduced.stages if stage.state == "failed"), None)
    document = json.loads(VALIDATION.read_text(encoding="utf-8")) if VALIDATION.is_file() else {}
    if failed_stage != "validate" or document.get("passed", True):
        error = reproduced.error
        if error is None:
            raise AlreadyPrinted(reproduced.code)
        raise MainlineError(error["message"], error["remedy"], reproduced.code)
    errors = data_errors(document)
    return Findings(
        name=params.model_name,
        task=params.task,
        kind="comparison",
        headline=params.gates.headline,
        base=Side(base_name, base_sha, None),
        head=Side(git.branch(), git.commit_of("HEAD"), None),
        gates=evaluate(Evidence(params, data_errors=errors)),
        notes=(*reproduced.notes, *_uncommitted_note()),
        stages=reproduced.stages,
        data_errors=errors,
        pull_request=_pull_request(),
    )


def _pull_request() -> int | None:
    """The number of the pull request that this run of GitHub Actions is for, or None."""
    match = re.fullmatch(r"refs/pull/(\d+)/merge", os.environ.get("GITHUB_REF", ""))
    return int(match.group(1)) if match else None


def _uncommitted_note() -> list[str]:
    """A note that names uncommitted files, or none."""
    paths = [path for path in git.dirty() if not path.startswith("reports/")]
    if not paths:
        return []
    shown = ", ".join(paths[:6]) + (f" and {len(paths) - 6} more" if len(paths) > 6 else "")
    return [f"The work tree differs from its commit: {shown}."]


def _reproducibility_note() -> str:
    """A note that names the candidates that the stage `train` found not to be reproducible; empty without any."""
    names = json.loads(SELECTION.read_text(encoding="utf-8")).get(NOT_REPRODUCIBLE)
    if not names:
        return ""
    return (
        f"Not reproducible: {', '.join(names)}. Two fits on the same rows gave two different files, so training again "
        "gives another model. Fix every random seed that the estimator uses."
    )


def _write(findings: Findings, key: str, progress: Progress) -> None:
    """Write the report, log it to MLflow, and remember its key only after that."""
    from pipelines.review import mlflow_run, report

    why_not_logged = mlflow_run.skipped()
    with progress.step("Writing the report"):
        report.write(_with_note(findings, why_not_logged), REVIEW)
    if why_not_logged is None and (why_not_logged := mlflow_run.log(findings, REVIEW, progress)):
        report.write(_with_note(findings, why_not_logged), REVIEW)
    if why_not_logged:
        progress.print(why_not_logged)
    if all(gate.evaluated for gate in findings.gates if gate.group in NEED_FETCHED):
        report_cache.remember(key)


def _with_note(findings: Findings, note: str | None) -> Findings:
    return replace(findings, notes=(*findings.notes, note)) if note else findings


def _print_verdict(document: dict[str, Any], progress: Progress) -> int:
    """Print the verdict of a review.json and the gates that block, or else the warnings; return the exit code."""
    gates = [GateResult(**gate) for gate in document["gates"]]
    failed = [gate for gate in gates if gate.blocks and not gate.passed]
    for line in console_lines(document):
        progress.print(line)
    progress.print(f"{document['verdict'].upper()}: {summary(gates)}")
    named = failed or [gate for gate in gates if gate.warns]
    for gate in named[:MAX_NAMED]:
        progress.print(f"  {gate.name}: {gate.why}")
    if len(named) > MAX_NAMED:
        progress.print(f"  and {len(named) - MAX_NAMED} more")
    remarks = [f"{text[:1].upper()}{text[1:]}. " for text in document["remarks"]]
    print(f"{''.join(remarks)}Read {REVIEW / 'review.html'} (or review.md, review.json).")
    return 1 if failed else 0
