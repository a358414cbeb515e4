"""What follows from a verdict: one issue for each problem, a message to a webhook, a retraining or a rollback."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import requests

from pipelines.cli.errors import Unreachable
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params
from pipelines.github.client import GitHub
from pipelines.github.one_issue import OneIssue
from pipelines.monitor.history import History, Started
from pipelines.monitor.pass_record import PassRecord, Problem, Quality, Verdict
from pipelines.monitor.report_view import NEXT, describe_pass
from pipelines.monitor.schedule import DAY
from pipelines.pages.numbers import of
from pipelines.pages.safe_text import escape
from pipelines.repository import tags
from pipelines.repository.tags import Assignment

WEBHOOK = "MONITOR_WEBHOOK"
MESSAGE = "message.txt"  # in the history: the last one that was sent
LABEL = "monitor"
MAX_STARTS = 3  # for a pass
_SECONDS = 10
_TITLES: dict[Problem, str] = {
    "drift": "The inputs of the deployed model have shifted",
    "input": "The inputs of the deployed model are broken",
    "quality": "The deployed model is worse than promised",
    "service": "The monitor or the service does not work as it should",
}


@dataclass(frozen=True)
class Start:
    """A verb to start with its arguments, and why: the text of its pull request."""

    verb: Literal["retrain", "rollback"]
    arguments: tuple[str, ...]
    why: str
    record: PassRecord


def report_problems(verdict: Verdict) -> None:
    """Open, update or close the one issue of each problem; without a token of GitHub, print that there are none.

    Raises:
        InputError: if GITHUB_REPOSITORY is missing or invalid.
        Unreachable: if GitHub does not respond.
    """
    if not os.environ.get("GITHUB_TOKEN"):
        print("GITHUB_TOKEN is not set: no issue is opened or closed")
        return
    github = GitHub.from_environment()
    for problem in get_args(Problem):
        issue = OneIssue(LABEL, f"{_TITLES[problem]}: {verdict.model_name}", f"<!-- mainline-monitor-{problem} -->")
        done = issue.update(github, format_issue(verdict, problem), closing_body="The newest pass has no such alarm.")
        print(f"{problem}: {done}")


def format_issue(verdict: Verdict, problem: Problem) -> str | None:
    """Return the issue of a problem in Markdown, or None without an alarm; equal for equal passes and alarms."""
    alarms = [alarm for alarm in verdict.alarms if alarm.problem == problem]
    if not alarms:
        return None
    listed = [f"- {escape(alarm.message)}" for alarm in alarms]
    return "\n".join(
        [
            f"**{of(len(alarms), 'alarm')}** for `{verdict.model_name}`:",
            "",
            *listed,
            "",
            "**What to do next**",
            "",
            *(f"- {sentence}" for sentence in NEXT[problem]),
            "",
            *(f"Pass: {escape(describe_pass(record))}  " for record in verdict.passes),
            "Page and verdict are artifacts of the newest run of the workflow `monitor`. It updates this issue, "
            "and closes it when the alarm has ended. What each alarm means: docs/monitoring.md.",
        ]
    )


def send_message(verdict: Verdict, history: History) -> None:
    """Send the alarms to the webhook, if one is named, unless the last message held the same.

    A failure is printed, changes nothing, and lets the next run send them.
    """
    if not (url := os.environ.get(WEBHOOK)):
        return
    text, alarms = "", [f"• {alarm.problem}: {alarm.message}" for alarm in verdict.alarms]
    if alarms:
        text = "\n".join([f"{verdict.model_name}: {of(len(alarms), 'alarm')}", *alarms])
        # Slack reads these three signs as markup.
        for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, name)
    if text == (history.read_file(MESSAGE) or ""):
        return
    try:
        if text:
            requests.post(url, json={"text": text}, timeout=_SECONDS).raise_for_status()
    except requests.RequestException as error:
        print(f"{WEBHOOK}: the message was not delivered ({type(error).__name__})")  # the URL is a secret
    else:
        history.write_file(MESSAGE, text)


def start_verb(
    params: Params, verdict: Verdict, history: History, assignments: Sequence[Assignment], now: datetime
) -> None:
    """Start the retraining or the rollback that follows from a quality alarm, once for each pass.

    It is done if it ended with 0, or if a pull request gives its reason: then the review failed, and a person must act.
    One that was refused or could not reach something is tried again a day later, three times in all.
    """
    start = choose_verb(params, verdict, history.started(), assignments, now)
    if start is None:
        return
    done = is_proposed(start.why)  # also by a run that was killed, or on a main that has moved since
    if not done:
        print(f"Starting {start.verb}")
        code = run_verb(start.verb, *start.arguments, "--why", start.why).returncode
        done = code == 0 or is_proposed(start.why)
        if not done:
            print(f"{start.verb} ended with {code}; a run of the monitor in a day or later starts it again")
    record = start.record
    history.add_started(Started(version=record.version, end=record.end, verb=start.verb, at=now, done=done))


def is_proposed(why: str) -> bool:
    """Return whether an open pull request holds this text; False without a token, or if GitHub does not respond."""
    if not os.environ.get("GITHUB_TOKEN"):
        return False
    try:
        return any(why in (pull["body"] or "") for pull in GitHub.from_environment().pages("pulls", state="open"))
    except Unreachable:
        return False


def choose_verb(
    params: Params, verdict: Verdict, started: Sequence[Started], assignments: Sequence[Assignment], now: datetime
) -> Start | None:
    """Return what a quality alarm of the version in production starts; None if nothing, or not now.

    A rollback needs `monitor.rollback` and a previous version whose loss on the same rows is shown to be below the loss
    of the version in production, and not shown to be above its own limit. It is done once for a version, not started
    twice in a day, and never to a version that was rolled back.
    """
    settings = params.monitor
    judged = [record for record in verdict.passes if record.release_id == assignments[-1].release_id]
    record = judged[-1] if judged else None
    if record is None or record.quality is None or all(alarm.problem != "quality" for alarm in record.alarms):
        return None
    tried = [item for item in started if (item.version, item.end) == (record.version, record.end)]
    if len(tried) >= MAX_STARTS or any(item.done or abs(now - item.at) < DAY for item in tried):
        return None
    quality, why = record.quality, explain(record, record.quality)
    rolled_back = any(
        item.verb == "rollback" and ((item.done and item.version == record.version) or abs(now - item.at) < DAY)
        for item in started
    )
    if settings.rollback and not rolled_back and _is_previous_better(quality):
        lasting = {version.tag for version in tags.list_lasting_versions(params.model_name)}
        if quality.previous_version in lasting:
            return Start("rollback", ("--to", str(quality.previous_version)), why, record)
    return Start("retrain", (), why, record) if settings.retrain else None


def _is_previous_better(quality: Quality) -> bool:
    low, limit, gain = quality.previous_low, quality.previous_limit, quality.previous_gain
    return low is not None and limit is not None and gain is not None and low <= limit and gain > 0


def explain(record: PassRecord, quality: Quality) -> str:
    """Return the evidence in words."""
    why = (
        f"The mean loss of {record.version} is {quality.loss:.4g} on {quality.labelled:,} labelled predictions "
        f"({quality.matured_from:%Y-%m-%d} to {quality.matured_to:%Y-%m-%d}); its limit is {quality.limit:.4g}, and "
        f"the evidence {quality.evidence:,.0f} reached {quality.evidence_limit:,.0f}."
    )
    if quality.previous_loss is None or quality.previous_limit is None or quality.previous_gain is None:
        return why
    return (
        f"{why} On the same rows {quality.previous_version} has {quality.previous_loss:.4g}, "
        f"with a limit of {quality.previous_limit:.4g}; the lower bound of the difference, paired by row, is "
        f"{quality.previous_gain:.4g} (too high at most once in {quality.evidence_limit:,.0f} passes)."
    )


def find_previous(assignments: Sequence[Assignment], release_id: str, model_name: str) -> Assignment | None:
    """Return the newest assignment of another release before a release's last one, unless it was rolled back."""
    last = max((i for i, item in enumerate(assignments) if item.release_id == release_id), default=0)
    lasting = {version.tag for version in tags.list_lasting_versions(model_name)}
    earlier = (item for item in reversed(assignments[:last]) if item.release_id != release_id)
    return next((item for item in earlier if item.version in lasting), None)
