"""One review: reproduce the head, fetch the base's model, evaluate the gates, write the report, print the verdict."""

import json
import os
import re
import tempfile
from dataclasses import replace
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
from pipelines.review import report_cache
from pipelines.review.candidates import console_lines
from pipelines.review.findings import Findings, GateResult, Side, StageRow, data_errors, summary

MAX_NAMED = 8  # gates that the console names
# Groups of gates that need what is fetched: what cannot be fetched now may be there in the next review.
NEED_FETCHED = ("rows", "history")


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
    code, made = _reproduce()
    findings = Findings(
        name=params.model_name,
        task=params.task,
        kind="comparison",
        headline=params.gates.headline,
        base=Side(base_name, base_sha, None),
        head=Side(git.branch(), git.commit_of("HEAD"), None),
        notes=(*made.get("notes", ()), *_uncommitted_note()),
        stages=tuple(StageRow(**stage) for stage in made.get("stages", ())),
        pull_request=_pull_request(),
    )
    key = "" if code else report_cache.inputs_key(base_sha, findings.notes)
    if code:
        _write(_with_data_errors(findings, params, made.get("error"), code), key, progress)
    elif not again and report_cache.use_again(last, key):
        progress.print("Nothing changed since the last review; `make review AGAIN=1` writes a new report.")
    else:
        _write(_compared(findings, params, progress), key, progress)
    return _print_verdict(json.loads(report_cache.REPORTS[0].read_text(encoding="utf-8")), progress)


def _reproduce() -> tuple[int, dict[str, Any]]:
    """The exit code of verb `repro`, and its report: stages, notes, and the error that ended it."""
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        path = Path(scratch) / "repro.json"
        code = run_verb("repro", "--report", str(path)).returncode
        return code, json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _compared(findings: Findings, params: Params, progress: Progress) -> Findings:
    """The findings of a head whose pipeline ran to its end.

    Args:
        findings: what is known before a model is scored.
    """
    from pipelines.model.signature import load_signature
    from pipelines.repository import base_model
    from pipelines.review import base_rows, evidently_page
    from pipelines.review.changes import changed_code
    from pipelines.review.model_findings import model_findings, new_model, review_kind

    base_sha = str(findings.base.sha)
    new = new_model(params, git.text_at(base_sha, str(PATH)))
    # A new model is compared with nothing, so the base's is not trained where no cache holds it.
    base = None if new else base_model.fetch(base_sha, progress)
    if base and (new := new_model(params, load_signature(base.signature))):
        base = None  # its commit has other parameters than its model
    release_id = worktree_release_id()
    model = file_md5(MODEL)
    version = registered_version(params.model_name, release_id, dvc_lock.data_md5(dvc_lock.read()))
    kind, explanation = review_kind(new, base, model, version)
    notes = list(findings.notes)
    base_side = findings.base
    if base:
        base_side = replace(base_side, model=base.md5, locked_model=base.locked_md5, source=base.source)
        if base.md5 != base.locked_md5:
            notes.append(f"The base's model was reproduced as {base.md5}; its dvc.lock names {base.locked_md5}.")
    if not_reproducible := _reproducibility_note():
        progress.print(not_reproducible)
        notes.append(not_reproducible)
    findings = replace(
        findings,
        kind=kind,
        explanation=explanation,
        base=base_side,
        head=replace(findings.head, model=model, locked_model=model),
        notes=tuple(notes),
        release=release_id,
        changed_code=changed_code(base_sha),
    )
    rows_of_base = base_rows.fetch(base, progress) if base else base_rows.BaseRows()
    with progress.step("Scoring both models on the same rows"):
        findings = model_findings(findings, params, base, rows_of_base)
    if findings.data and not rows_of_base.prepared_alike:
        with progress.step("Drawing what changed in the data (Evidently)"):
            outcome = evidently_page.draw_page(REVIEW / "data.html", params, rows_of_base)
        findings = replace(findings, data=replace(findings.data, evidently=outcome))
    return findings


def _with_data_errors(findings: Findings, params: Params, error: dict[str, Any] | None, code: int) -> Findings:
    """The findings of a head whose rows have errors; any other error of the reproduction ends the review.

    Raises:
        MainlineError: if another stage than `validate` failed.
    """
    from pipelines.review.gates import evaluate
    from pipelines.review.gates.evidence import Evidence

    failed_stage = next((stage.name for stage in findings.stages if stage.state == "failed"), None)
    document = json.loads(VALIDATION.read_text(encoding="utf-8")) if VALIDATION.is_file() else {}
    if failed_stage != "validate" or document.get("passed", True):
        if error is None:
            raise AlreadyPrinted(code)
        raise MainlineError(error["message"], error["remedy"], code)
    errors = data_errors(document)
    return replace(findings, gates=evaluate(Evidence(params, data_errors=errors)), data_errors=errors)


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
    from pipelines.review import mlflow_run

    why_not_logged = mlflow_run.skipped()
    with progress.step("Writing the report"):
        _write_report(findings, why_not_logged)
    if why_not_logged is None and (why_not_logged := mlflow_run.log(findings, REVIEW, progress)):
        _write_report(findings, why_not_logged)
    if why_not_logged:
        progress.print(why_not_logged)
    if all(gate.evaluated for gate in findings.gates if gate.group in NEED_FETCHED):
        report_cache.remember(key)


def _write_report(findings: Findings, note: str | None) -> None:
    from pipelines.review import report

    report.write(replace(findings, notes=(*findings.notes, note)) if note else findings, REVIEW)


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
