"""One adoption: read the table, decide, write the team's files on the branch `adopt`, and make the first review."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis

from pipelines.adopt.baseline import Baseline, fit_baseline, unknown_limits
from pipelines.adopt.columns import VIEW, find_columns
from pipelines.adopt.draft import Draft, Request, make_draft
from pipelines.adopt.first_files import cases_text, params_text
from pipelines.adopt.leaks import flag_leaks
from pipelines.adopt.source import Source, path_inside, read_source
from pipelines.adopt.team_files import ignore_table, replace_template
from pipelines.cli.errors import AlreadyPrinted, InputError, Refused
from pipelines.cli.files import write_text
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.config.ingest import Files
from pipelines.config.params import Params, parse
from pipelines.config.paths import REVIEW
from pipelines.repository import git

BRANCH = "adopt"
TITLE = "Adopt "
REVIEWED = "Record the first review"
PARAMS = Path("params.yaml")
CASES = Path("tests/critical/first.yaml")
GENERATED = ("data.dvc", "dvc.lock", "reports/", ".gitignore", "template.json")


@dataclass(frozen=True)
class Adoption:
    """What was found out about a table, and the files that follow."""

    draft: Draft
    params: str
    cases: str
    rows: list[dict[str, Any]]


def adopt(table: str, request: Request, dry_run: bool) -> int:
    """Adopt a table.

    A run that was killed after it wrote the files goes on where it stopped.

    Returns:
        0 if the first review was made, whatever its verdict.

    Raises:
        InputError: if the repository is not ready, or the table cannot be adopted; nothing was changed then.
        Refused: if the first review found errors in the rows.
    """
    root, progress = Path.cwd(), Progress()
    if not dry_run and _interrupted():
        progress.print(f"Going on, on the branch {BRANCH}, with: {git.git('log', '-1', '--format=%s')}")
        return _review(progress, None, "main" if git.commit_of("main") else git.git("rev-parse", "--short", "HEAD^"))
    base = "" if dry_run else _require_ready(root, table)
    adoption = decide(table, request, root, progress)
    if dry_run:
        print(adoption.params)
        _report(adoption)
        print("Nothing was changed (DRY_RUN=1).")
        return 0
    _write(adoption, root, table)
    return _review(progress, adoption, base)


def _interrupted() -> bool:
    """Whether this is the branch of an adoption whose review was not recorded, and nothing else was changed."""
    if git.branch() != BRANCH or not (git.try_git("log", "-1", "--format=%s") or "").startswith(TITLE):
        return False
    return all(path.startswith(GENERATED) for path in git.dirty())


def _require_ready(root: Path, table: str) -> str:
    """Return the branch to compare with, if the repository is ready for an adoption."""
    if git.try_git("rev-parse", "--git-dir") is None or git.commit_of("HEAD") is None:
        raise InputError("this is no git repository with a commit", "Clone your copy of the template, and run again.")
    if git.try_git("var", "GIT_COMMITTER_IDENT") is None or not git.try_git("config", "user.email"):
        raise InputError(
            "git does not know who you are, and an adoption ends in a commit",
            'Run `git config user.name "Your Name"` and `git config user.email you@example.org`.',
        )
    if git.branch() == BRANCH and not (git.try_git("log", "-1", "--format=%s") or "").startswith((TITLE, REVIEWED)):
        raise InputError(
            f"the branch {BRANCH} holds no adoption: one was perhaps killed while it wrote its files",
            f"`git stash --include-untracked`, `git checkout main` and `git branch -D {BRANCH}`, then run again.",
        )
    if git.commit_of(f"refs/heads/{BRANCH}"):
        raise InputError(
            f"the branch {BRANCH} exists: a table was adopted before",
            f"Merge it; or delete it (`git branch -D {BRANCH}`, from another branch), and run again.",
        )
    own = path_inside(table, root)
    if changed := [name for name in git.dirty() if name.rstrip("/") != own]:
        listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise InputError(f"the work tree has changes: {listed}", "Commit or stash them, and run again.")
    return git.branch()


def decide(table: str, request: Request, root: Path, progress: Progress) -> Adoption:
    """Find out everything, without a change of the repository."""
    with progress.step(f"Reading {Path(table).name if '://' not in table else 'the table'}"):
        source = read_source(table, request.query, root)
    with progress.step("Inferring columns"):
        columns, decimal = find_columns(source.connection)
        draft = make_draft(source.connection, columns, decimal, request)
    draft.decided[:0] = source.decided
    old = PARAMS.read_text(encoding="utf-8") if PARAMS.is_file() else ""

    def parsed(baseline: Baseline | None) -> tuple[str, Params]:
        limits = baseline.limits if baseline else unknown_limits(draft.task)
        text = params_text(draft, source.ingest, limits, old)
        return text, parse(text, "the params.yaml that was inferred")

    typed = ibis.duckdb.from_connection(source.connection).table(VIEW)
    with progress.step("Looking for leaks"):
        flag_leaks(typed, parsed(None)[1], draft)
    if not draft.use and not draft.derive:
        raise InputError(
            "every input looks like a leak, so that none is left",
            "Is the target a copy of them? Name another TARGET=, or write params.yaml by hand: docs/params.md.",
        )
    with progress.step("Fitting a baseline"):
        baseline = fit_baseline(typed, parsed(None)[1])
    text, params = parsed(baseline)
    draft.to_decide += _open_questions(draft, params)
    return Adoption(draft, text, cases_text(params, baseline), _first_rows(source, draft))


def _open_questions(draft: Draft, params: Params) -> list[str]:
    questions = []
    if draft.after:
        questions.append(f"known: after: known too late for a prediction? Then leave it: {', '.join(draft.after)}.")
    if params.task == "classification":
        questions.append("value: what does a wrong decision cost? With it, reports say what a change saves.")
    questions.append(f"gates: do the floors suit you? {CASES}: which requests must be answered right?")
    if params.fairness:
        questions.append("fairness: which difference between the groups is acceptable?")
    if isinstance(params.ingest, Files) and Path(params.ingest.paths[0]).is_absolute():
        questions.append("ingest.paths names a file of this machine: share the rows with DVC_REMOTE_URL (`make push`).")
    return questions


def _first_rows(source: Source, draft: Draft) -> list[dict[str, Any]]:
    rows = source.connection.sql(f"SELECT * FROM {VIEW} LIMIT 3").to_arrow_table().to_pylist()
    made = draft.key if draft.make_key else None
    return [
        {name: "•••" if name in draft.sensitive else value for name, value in row.items() if name != made}
        for row in rows
    ]


def _write(adoption: Adoption, root: Path, table: str) -> None:
    """Write the team's files on a new branch, and commit them."""
    draft = adoption.draft
    git.git("checkout", "--quiet", "-b", BRANCH)
    replace_template(root, draft.model_name, draft.target.name)
    write_text(PARAMS, adoption.params)
    write_text(CASES, adoption.cases)
    if "://" not in table and (own := path_inside(table, root)):
        ignore_table(root, own)
    if code := run_verb("template", "--write", capture=True).returncode:
        raise AlreadyPrinted(code)
    _commit(f"{TITLE}{table.rpartition('/')[2] if '://' not in table else 'a table'} as {draft.model_name}")


def _commit(title: str, *options: str) -> None:
    git.git("add", "--all")
    if git.git("diff", "--cached", "--name-only"):
        try:
            # The hook lints the engine, which is not changed.
            git.git("-c", "core.hooksPath=/dev/null", "commit", *options, "--quiet", "--no-verify", "-m", title)
        except subprocess.CalledProcessError as error:
            raise InputError(f"git commit failed: {error.stderr.strip()}", "Fix it, and run again.") from error


def _review(progress: Progress, adoption: Adoption | None, base: str) -> int:
    """Ingest, review, commit, and print what was decided."""
    if code := run_verb("data").returncode:
        raise AlreadyPrinted(code)
    _commit(git.git("log", "-1", "--format=%s"), "--amend")
    code = run_verb("review", "--base", base).returncode
    report = REVIEW / "review.json"
    if code not in (0, 1) or not report.is_file():
        raise AlreadyPrinted(code or 1)
    document = json.loads(report.read_text(encoding="utf-8"))
    if document["head"]["model"] is None:
        raise Refused(
            "the rows do not fit the params.yaml that was inferred: see the errors above",
            f"Correct params.yaml on the branch {BRANCH}, then `make data` and `make review`.",
        )
    _commit(REVIEWED)
    if adoption:
        _report(adoption)
    verdict = {"pass": "passed", "fail": "failed"}[document["verdict"]]
    print(f"\nThe first review {verdict}: open {REVIEW / 'review.html'}.")
    print(f"The branch {BRANCH} holds all of it: `git diff {base} -- params.yaml` shows what was decided.")
    print("Next: read params.yaml, then `make test`.")
    return 0


def _report(adoption: Adoption) -> None:
    """Print three rows, what was decided, what is unsure, and what a person must decide."""
    draft = adoption.draft
    print("\nThe first rows, as they were read:")
    for row in adoption.rows:
        print("  " + ", ".join(f"{name}={'missing' if value is None else value}" for name, value in row.items()))
    for title, lines in (
        ("Decided", draft.decided),
        ("Unsure, please check", draft.unsure),
        ("A person must decide", draft.to_decide),
    ):
        if lines:
            print(f"\n{title}:")
            print("\n".join(f"  - {line}" for line in lines))
