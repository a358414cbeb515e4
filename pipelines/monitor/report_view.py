"""What the templates of verdict.md and of the page show of the verdict; `page_plots.py` has the plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from pipelines.monitor.pass_record import Alarm, Drift, PassRecord, Problem, Verdict
from pipelines.pages.numbers import number, of
from pipelines.repository.tags import Assignment

MAX_PASSES = 104  # of the page; the log has all of them
PROBLEMS: tuple[Problem, ...] = get_args(Problem)
TITLES = {"drift": "Drift", "input": "Broken input", "quality": "Quality", "service": "Service"}
NEXT = {
    "drift": (
        "Compare the listed inputs with the change log of the systems that fill them.",
        "If the change is expected, accept it with `make monitor ACKNOWLEDGE=\"why\"`: the monitor then compares with "
        "the accepted pass.",
        "If the model must learn the change, wait until its labels have arrived, then run `make retrain`. Drift alone "
        "starts no retraining.",
    ),
    "input": (
        "Find the system that fills the named input, and fix it there. A retraining refuses the rows of this pass.",
        "If the change is expected, accept it with `make monitor ACKNOWLEDGE=\"why\"`.",
    ),
    "quality": (
        "Review the pull request that the monitor opened (retraining, or a rollback), like any other; it passes "
        "through the same gates.",
        "If there is none, run `make retrain`, or `make rollback` if the version before has a smaller loss on the same "
        "rows.",
    ),
    "service": (
        "Compare /info of the service and the prediction log with the newest assignment; `make reconcile` makes "
        "the service equal to it. If no label arrives, look at what writes `monitor.labels.path`.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Release:
    """A version that came into production; a rollback if it had been there before another one."""

    at: datetime
    version: str
    release_id: str
    rollback: bool
    pull_request: int | None


def releases(assignments: Sequence[Assignment]) -> list[Release]:
    """The assignments in order, without those that repeat the version before."""
    listed: list[Release] = []
    for item in assignments:
        if listed and listed[-1].version == item.version:
            continue
        seen = any(release.version == item.version for release in listed)
        listed.append(Release(item.assigned_at, item.version, item.release_id, seen, item.annotation.pull_request))
    return listed


def moment(time: datetime) -> str:
    """A day, with the time of day unless it is midnight (UTC)."""
    return f"{time:%Y-%m-%d}" if time.hour == time.minute == 0 else f"{time:%Y-%m-%d %H:%M}"


def p_value(value: float | None) -> str:
    """A p-value with two digits; a dash where a check has none."""
    return "—" if value is None else f"{value:.2g}"


def period(record: PassRecord) -> str:
    """The window of a pass."""
    return f"{moment(record.start)} to {moment(record.end)}"


def budget_parts(record: PassRecord) -> tuple[float, float] | None:
    """The shares of their alarm limits that the detectors of slow and of sudden change reached, at most 1."""
    if record.budget is None:
        return None
    budget = record.budget
    sudden = budget.alpha_sudden / budget.smallest_adjusted_p if budget.smallest_adjusted_p else 1.0
    return min(budget.slow / budget.slow_limit, 1.0), min(sudden, 1.0)


def budget_used(record: PassRecord) -> float | None:
    """The larger of the two shares."""
    return max(budget_parts(record) or (), default=None)


def view(verdict: Verdict, records: Sequence[PassRecord], assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The variables of both templates."""
    shown = sorted(records, key=lambda record: (record.start, record.version))[-MAX_PASSES:]
    alarms, newest = verdict.alarms, verdict.newest
    problems = {problem: [alarm for alarm in alarms if alarm.problem == problem] for problem in PROBLEMS}
    problems = {problem: listed for problem, listed in problems.items() if listed}
    metrics = newest.quality.metrics if newest and newest.quality else ()
    judged = [record.quality for record in shown if record.quality]
    names = dict.fromkeys(metric.name for metric in (judged[-1].metrics if judged else ()) if metric.slice is None)
    return {
        "v": verdict,
        "title": _title(verdict, problems),
        "state": "failed" if alarms else "passed" if newest and newest.judged else "warned",
        "lead": [describe_pass(record) for record in verdict.passes] or ["No pass has been made yet."],
        "problems": problems,
        "next": NEXT,
        "titles": TITLES,
        "newest": newest,
        "drift": sorted(newest.drift, key=drift_order) if newest else [],
        "checks": sorted(newest.checks, key=lambda check: (not check.failed, check.name)) if newest else [],
        "metrics": [metric for metric in metrics if metric.slice is None],
        "slices": [metric for metric in metrics if metric.slice is not None],
        "metric_names": list(names),
        "used": budget_used(newest) if newest else None,
        "history": shown,
        "left_out": len(records) - len(shown),
        "releases": releases(assignments),
    }


def drift_order(drift: Drift) -> tuple[bool, float]:
    """The order of inputs: listed ones first, then by PSI as a multiple of what is natural."""
    return (not drift.listed, -_excess(drift))


def _excess(drift: Drift) -> float:
    return drift.psi / max(drift.tolerance, 1e-9)


def _title(verdict: Verdict, problems: dict[Problem, list[Alarm]]) -> str:
    if problems:
        parts = [f"{TITLES[problem].lower()} ({_listed(alarms)})" for problem, alarms in problems.items()]
        return f"{of(len(verdict.alarms), 'alarm')}: {'; '.join(parts)}"
    if verdict.newest is None:
        return "no pass yet"
    return "no alarm" if verdict.newest.judged else "too few rows to judge"


def _listed(alarms: Sequence[Alarm]) -> str:
    """The first names, and how many more there are."""
    names = list(dict.fromkeys(alarm.name for alarm in alarms))
    return ", ".join(names[:4]) + f" and {len(names) - 4} more" * (len(names) > 4)


def describe_pass(record: PassRecord) -> str:
    """A pass in one sentence."""
    text = f"{record.version}, {period(record)} (UTC): {of(record.rows, 'prediction')}"
    parts = [text if record.judged else f"{text}, too few to judge (monitor.min_rows)"]
    if listed := [drift for drift in record.drift if drift.listed]:
        most = max(listed, key=_excess)
        psi, natural = number(most.psi, digits=2), number(most.tolerance, digits=2)
        parts.append(f"{most.name} has changed most (PSI {psi}; up to {natural} is natural)")
    elif record.drift:
        parts.append("in this pass no input has shifted")
    if record.quality and record.quality.loss is not None:
        parts.append(
            f"the loss is {number(record.quality.loss, digits=3)} (limit {number(record.quality.limit, digits=3)})"
        )
    if record.quality and record.quality.no_labels:
        parts.append(record.quality.no_labels)
    return f"{'; '.join(parts)}."
