"""The verb `monitor`: do the passes that are due, and report the newest."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.cli.files import write_text
from pipelines.cli.progress import Progress
from pipelines.config.params import Params, load
from pipelines.monitor import actions
from pipelines.monitor.acknowledge import acknowledge
from pipelines.monitor.alarms import counted
from pipelines.monitor.history import ACCEPTABLE, History
from pipelines.monitor.pass_record import PassRecord, Verdict
from pipelines.monitor.passes import MONITOR, Judge
from pipelines.monitor.prometheus import FILE, metrics_text, push_metrics
from pipelines.monitor.report import Lineages, markdown, page
from pipelines.monitor.report_view import describe_pass
from pipelines.monitor.schedule import DAY, LATE, due_passes
from pipelines.monitor.service import service_alarms
from pipelines.predictions.log import list_dates, parse_log
from pipelines.repository import tags
from pipelines.repository.lineage import as_texts, describe_version
from pipelines.repository.tags import Assignment
from pipelines.tables.locations import PREDICTION_LOG, prediction_log

MAX_LINEAGES = 10  # on the page; `release show` prints that of any version


def monitor(why: str | None, act: bool = False) -> int:
    """Do the passes that are due, write reports/monitor/, and print the verdict.

    Args:
        why: acknowledge the alarms of the newest passes, for this reason.
        act: open, update and close issues, send the message, and start a retraining or a rollback.

    Returns:
        0, also if nothing is in production yet.

    Raises:
        Refused: if there is an alarm.
        InputError: if the settings or the files of the monitor cannot be read.
        Unreachable: if the log, origin or the DVC remote does not respond.
    """
    params, progress = load(), Progress()
    url = prediction_log()
    if url is None:
        return _not_yet(f"{PREDICTION_LOG} does not name the prediction log")
    with progress.step("Fetching the tags"):
        tags.fetch_tags(params.model_name)
    assignments = tags.list_assignments(params.model_name)
    if not assignments:
        return _not_yet(f"no tag assigns a version of {params.model_name} to production")
    log = parse_log(url)
    history = History(log)
    now, before, dates = datetime.now(UTC), history.passes(), list_dates(log)
    due = list(due_passes(assignments, params.monitor.every_days, now - LATE, before))
    if not before and not dates and not due:
        return _not_yet(f"{log.name} holds no predictions")
    # The weeks before the log are no passes.
    watched_since = before[0].start if before else min(dates, default=now)
    # Only rows of a later date show that a window is over: the clock of this machine may be ahead.
    waiting = [item for item in due if not dates or item.end >= dates[-1] + DAY]
    due = [item for item in due if item not in waiting and item.end > watched_since]
    Judge(params, log, history, assignments, progress).do_passes(due)
    if why is not None:
        for path in acknowledge(history, make_verdict(params, history).passes, why):
            print(f"Acknowledged: {path}")
    verdict, records = make_verdict(params, history), history.passes()
    of_service = service_alarms(
        before,
        records,
        assignments,
        params.monitor.every_days,
        now,
        logged_until=max(dates, default=None),
        waiting=waiting[0] if waiting else None,
        canary=tags.find_canary(params.model_name),
    )
    verdict = verdict.model_copy(update={"alarms": (*verdict.alarms, *of_service)})
    _write_outputs(verdict, params, history, records, assignments)
    _print(verdict, params)
    if act:
        actions.send_message(verdict, history)
        actions.report_problems(verdict)
        actions.start_verb(params, verdict, history, assignments, now)
    return _conclude(verdict)


def print_history(version: str | None) -> int:
    """Print the passes of a version, or of all, as JSON without the alarms that were acknowledged; judge nothing."""
    url = prediction_log()
    records = History(parse_log(url)).open_passes() if url else []
    print(json.dumps([item.model_dump(mode="json") for item in records if version in (None, item.version)], indent=2))
    return 0


def make_verdict(params: Params, history: History) -> Verdict:
    """Return the newest passes, and their alarms without an acknowledgement."""
    records = history.open_passes()
    newest = max((record.end for record in records), default=None)
    length = timedelta(days=params.monitor.every_days)
    passes = tuple(record for record in records if newest and record.start >= newest - length)
    alarms = tuple(dict.fromkeys(alarm for record in passes for alarm in record.alarms))
    return Verdict(model_name=params.model_name, made_at=datetime.now(UTC), passes=passes, alarms=alarms)


def _write_outputs(
    verdict: Verdict,
    params: Params,
    history: History,
    records: Sequence[PassRecord],
    assignments: Sequence[Assignment],
) -> None:
    """Write verdict, page and metrics. A Pushgateway that does not respond changes no verdict."""
    write_text(MONITOR / "verdict.json", verdict.model_dump_json(indent=2) + "\n")
    write_text(MONITOR / "verdict.md", markdown(verdict, records, assignments))
    lineages = _lineages(params.model_name, records, assignments)
    write_text(MONITOR / "index.html", page(verdict, records, assignments, lineages))
    history.write_file(FILE, metrics_text(verdict, params.monitor.every_days))
    try:
        push_metrics(verdict, params.monitor.every_days)
    except Unreachable as error:
        print(error)


def _lineages(model_name: str, records: Sequence[PassRecord], assignments: Sequence[Assignment]) -> Lineages:
    """Return where the versions that were in production last come from, the newest first."""
    lineages = {}
    for version in list(dict.fromkeys(item.version for item in reversed(assignments)))[:MAX_LINEAGES]:
        judged = [record.quality for record in records if record.version == version and record.quality]
        with suppress(InputError):  # a tag that was deleted by hand, or a dvc.lock that cannot be read
            qualities = [quality.model_dump(mode="json") for quality in judged]
            lineages[version] = as_texts(describe_version(model_name, version, qualities))
    return lineages


def _not_yet(reason: str) -> int:
    print(f"not in production yet: {reason}")
    return 0


def _print(verdict: Verdict, params: Params) -> None:
    """Print the verdict."""
    if not verdict.passes:
        print(f"no pass yet: one covers {params.monitor.every_days} days, and is judged an hour after its end")
    for record in verdict.passes:
        print(describe_pass(record))
        for reason, count in record.set_aside.items():
            print(f"  set aside: {counted(count, reason)}")
    for alarm in verdict.alarms:
        print(f"ALARM {alarm.problem}: {alarm.message}")
    if not verdict.alarms:
        print("No alarm.")


def _conclude(verdict: Verdict) -> int:
    """Return 0 without an alarm; raise Refused with one."""
    if not verdict.alarms:
        return 0
    number = len(verdict.alarms)
    remedy = f"Read {MONITOR}/"
    if any(alarm.problem in ACCEPTABLE for alarm in verdict.alarms):
        remedy += '; if this is the new normal: make monitor ACKNOWLEDGE="why"'
    raise Refused(f"{number} alarm{'s' if number > 1 else ''}", f"{remedy}.")
