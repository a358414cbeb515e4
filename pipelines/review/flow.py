"""One review from beginning to end: bring, reproduce, fetch the base, judge, write, log, and say the verdict."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.cli.errors import AlreadyPrinted, Refused, error_for
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params, load
from pipelines.config.paths import NOT_REPRODUCIBLE, SELECTION
from pipelines.config.read import PATH
from pipelines.repository import dvc_lock, git, tags
from pipelines.repository.dvc import file_md5
from pipelines.repository.release_id import worktree_release_id
from pipelines.review.findings import Fault, Findings, Gate, Side, StageRow

FOLDER = Path("reports/review")
KEY = FOLDER / ".inputs"
MODEL = Path("models/model.onnx")
VALIDATION = Path("reports/validation.json")


def review(base: str | None = None, again: bool = False, locked: bool = False) -> int:
    """Review the work tree against a base and print the verdict.

    Args:
        base: revision to compare with.
        again: review anew even where the last report was made from the same inputs.
        locked: refuse a commit whose generated files are not what its tree gives.

    Returns:
        0 if the review passes, 1 if a gate says no.
    """
    progress = Progress()
    params = load()
    base_name, base_sha = git.base_commit(base)
    progress.say(f"Review of {git.branch()} against {base_name} ({base_sha[:7]})")
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        report = Path(scratch) / "repro.json"
        code = run_verb("repro", "--report", str(report)).returncode
        reproduced = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    stages = tuple(StageRow(**stage) for stage in reproduced.get("stages", []))
    notes: list[str] = reproduced.get("notes", [])
    if code:
        return _stopped(params, reproduced.get("error"), code, stages, base_name, base_sha, notes, progress)
    if locked:
        _check_locked()
    notes += _dirty_note()
    key = inputs_key(base_sha, notes)
    if not again and (earlier := _earlier(key)):
        progress.say("Nothing changed since the last review; its report stands (--again reviews anew).")
        return _say(earlier, progress)
    found = _findings(params, base_name, base_sha, notes, stages, progress)
    _write(found, key, progress)
    return _say(found.to_json(), progress)


def _check_locked() -> None:
    """Refuse generated files that differ from HEAD after the reproduction.

    Raises:
        Refused: naming them.
    """
    changed = [path for path in git.dirty() if dvc_lock.is_generated(path)]
    if changed:
        raise Refused(
            f"the commit does not hold what its tree gives: {', '.join(sorted(changed)[:8])}",
            "Run `make update` on the branch and push: it merges main and reproduces.",
        )


def _earlier(key: str) -> dict[str, Any] | None:
    """review.json of the last review, if that had the same inputs and its report is still there."""
    reports = [FOLDER / name for name in ("review.json", "review.md", "review.html")]
    if not all(path.is_file() for path in (KEY, *reports)) or KEY.read_text(encoding="utf-8") != key:
        return None
    try:
        document: dict[str, Any] = json.loads(reports[0].read_text(encoding="utf-8"))
    except ValueError:
        return None
    return document


def _findings(
    params: Params,
    base_name: str,
    base_sha: str,
    notes: list[str],
    stages: tuple[StageRow, ...],
    progress: Progress,
) -> Findings:
    from pipelines.repository import base_model as bases
    from pipelines.review.changes import param_changes
    from pipelines.review.judge import judge, kind_of

    base = bases.fetch(base_sha, progress)
    release = worktree_release_id()
    model = file_md5(MODEL)
    kind, why = kind_of(params, base, model, tags.registered(params.model_name).get(release))
    if base and base.md5 != base.named:
        notes.append(
            "main's model was reproduced, and is not the one that its dvc.lock names: "
            f"{base.md5} here, {base.named} there."
        )
    if unreproducible := _reproducibility_note():
        progress.say(unreproducible)
        notes.append(unreproducible)
    with progress.step("Scoring both models on the same rows"):
        judged = judge(params, base, kind)
    changes = param_changes(git.text_at(base_sha, "params.yaml"), PATH.read_text(encoding="utf-8"))
    found = Findings(
        name=params.model_name,
        task=params.task,
        kind=kind,
        headline=params.gates.headline,
        base=Side(
            base_name, base_sha, base.md5 if base else None, base.named if base else None, base.found if base else ""
        ),
        head=Side(git.branch(), git.commit_of("HEAD"), model, model),
        notes=tuple([why] * bool(why) + notes),
        stages=stages,
        params=changes,
        release=release,
        pull_request=_pull_request(),
        **judged,
    )
    passed = Gate("validation", "validation", True, None, None, "every row fits the schema")
    return _with_evidently(replace(found, gates=(passed, *found.gates)), params, base_sha, progress)


def _with_evidently(found: Findings, params: Params, base_sha: str, progress: Progress) -> Findings:
    """Beside the report an Evidently page, where the data changed and the base's rows are at hand."""
    before = dvc_lock.data_md5(git.text_at(base_sha, "dvc.lock"))
    now = dvc_lock.data_md5(dvc_lock.read())
    if found.data is None or before is None or before == now:
        return replace(found, data=None)
    from pipelines.review import evidently_page

    with progress.step("Drawing what changed in the data (Evidently)"):
        said = evidently_page.write(FOLDER / "data.html", params, base_sha, before)
    return replace(found, data=replace(found.data, evidently=said))


def _stopped(
    params: Params,
    error: dict[str, Any] | None,
    code: int,
    stages: tuple[StageRow, ...],
    base_name: str,
    base_sha: str,
    notes: list[str],
    progress: Progress,
) -> int:
    """The review of a head whose rows have errors; any other error of the reproduction ends the review.

    Raises:
        MainlineError: if anything but the stage `validate` failed.
    """
    failed = next((stage.name for stage in stages if stage.state == "failed"), None)
    document = json.loads(VALIDATION.read_text(encoding="utf-8")) if VALIDATION.is_file() else {}
    if failed != "validate" or document.get("passed", True):
        raise error_for(code, error["message"], error["remedy"]) if error else AlreadyPrinted(code)
    faults = tuple(Fault(f["column"], f["kind"], f["why"], tuple(f["examples"])) for f in document["faults"])
    gates = tuple(Gate(f"validation {f.column}: {f.kind}", "validation", False, None, None, f.why) for f in faults)
    found = Findings(
        name=params.model_name,
        task=params.task,
        kind="comparison",
        headline=params.gates.headline,
        base=Side(base_name, base_sha, None),
        head=Side(git.branch(), git.commit_of("HEAD"), None),
        gates=gates,
        notes=("The rows are at fault, so nothing was trained and nothing compared.", *notes, *_dirty_note()),
        stages=stages,
        faults=faults,
        pull_request=_pull_request(),
    )
    _write(found, "", progress)
    return _say(found.to_json(), progress)


def _pull_request() -> int | None:
    """The number of the pull request in whose run of Actions this is, or None."""
    found = re.fullmatch(r"refs/pull/(\d+)/merge", os.environ.get("GITHUB_REF", ""))
    return int(found.group(1)) if found else None


def _dirty_note() -> list[str]:
    paths = [path for path in git.dirty() if not path.startswith("reports/")]
    if not paths:
        return []
    shown = ", ".join(paths[:6]) + (f" and {len(paths) - 6} more" if len(paths) > 6 else "")
    return [f"The work tree differs from its commit: {shown}."]


def _reproducibility_note() -> str:
    """Which candidates the stage `train` found not to be reproducible; empty for none."""
    names = json.loads(SELECTION.read_text(encoding="utf-8")).get(NOT_REPRODUCIBLE)
    if not names:
        return ""
    return (
        f"Not reproducible: {', '.join(names)}. Two fits on the same rows gave two different files, so training again "
        "gives another model. Fix every random seed that the estimator uses."
    )


def inputs_key(base_sha: str, notes: list[str]) -> str:
    """A hash of all that a report follows from; the stages' times and how the data came are not among it."""
    parts: dict[str, Any] = {"base": base_sha, "head": git.commit_of("HEAD"), "branch": git.branch(), "notes": notes}
    files = [
        dvc_lock.PATH,
        PATH,
        MODEL,
        Path("requirements/pipelines.txt"),
        *sorted(Path("tests/critical").glob("*.yaml")),
    ]
    files += sorted(Path("pipelines").rglob("*.*"))  # whatever the review imports, and its templates
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            parts[str(path)] = file_md5(path)
    parts["tags"] = sorted(tags.registered(load().model_name).items())
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write(found: Findings, key: str, progress: Progress) -> None:
    """Write the report, log it, and only then remember from which inputs it follows."""
    from pipelines.cli.files import write_text
    from pipelines.review import mlflow_run, report

    KEY.unlink(missing_ok=True)
    unlogged = mlflow_run.skipped()
    with progress.step("Writing the report"):
        report.write(_noted(found, unlogged), FOLDER)
    if unlogged is None and (unlogged := mlflow_run.log(found, FOLDER, progress)):
        report.write(_noted(found, unlogged), FOLDER)
    if unlogged:
        progress.say(unlogged)
    write_text(KEY, key)


def _noted(found: Findings, note: str | None) -> Findings:
    return replace(found, notes=(*found.notes, note)) if note else found


def _say(document: dict[str, Any], progress: Progress) -> int:
    """Print the verdict and why; the last line says what to do next."""
    blocking = [gate for gate in document["gates"] if gate["blocks"]]
    failed = [gate for gate in blocking if not gate["passed"]]
    progress.say(f"{document['verdict'].upper()}: {len(failed)} of {len(blocking)} gates say no")
    for gate in failed[:8]:
        progress.say(f"  {gate['name']}: {gate['why']}")
    if len(failed) > 8:
        progress.say(f"  and {len(failed) - 8} more")
    print(f"Read {FOLDER / 'review.html'} (or review.md, review.json).")
    return 1 if failed else 0
