"""The verb `monitor`: do the passes that are due, and report the newest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import ibis

from pipelines.cli.errors import Refused, Unreachable
from pipelines.cli.files import write_text
from pipelines.cli.progress import Progress
from pipelines.config.params import Params, load
from pipelines.model.signature import Signature, load_signature
from pipelines.monitor import actions
from pipelines.monitor.acknowledge import PROBLEMS, acknowledge, is_acknowledged
from pipelines.monitor.alarms import counted
from pipelines.monitor.compaction import compact
from pipelines.monitor.evidently_page import Predictions, write_pages
from pipelines.monitor.history import History
from pipelines.monitor.judge import Before, judge_pass
from pipelines.monitor.labels import TARGET, open_labels
from pipelines.monitor.log import find_first_date, parse_log
from pipelines.monitor.pass_record import PassRecord, Quality, Verdict
from pipelines.monitor.profile import Profile, load_profile
from pipelines.monitor.prometheus import FILE, metrics_text, push_metrics
from pipelines.monitor.quality import FetchPrevious, judge_quality
from pipelines.monitor.report import write_report
from pipelines.monitor.schedule import DuePass, due_passes
from pipelines.monitor.service import service_alarms
from pipelines.monitor.window import REQUEST_ID, SCORE, open_connection, open_window
from pipelines.repository import base_model, tags
from pipelines.repository.base_model import Base
from pipelines.repository.tags import Assignment
from pipelines.tables.locations import PREDICTION_LOG, Location, prediction_log

MONITOR = Path("reports/monitor")


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
    now, before, logged_since = datetime.now(UTC), history.passes(), find_first_date(log)
    due = list(due_passes(assignments, params.monitor.every_days, now, before))
    if not before and logged_since is None and not due:
        return _not_yet(f"{log.name} holds no predictions")
    # The weeks before the log are no passes; an empty log is an alarm of its own.
    watched_since = before[0].start if before else logged_since
    due = [item for item in due if watched_since is not None and item.end > watched_since]
    _do_passes(params, log, history, assignments, due, progress)
    if why is not None:
        for path in acknowledge(history, make_verdict(params, history).passes, why):
            print(f"Acknowledged: {path}")
    verdict = make_verdict(params, history)
    of_service = service_alarms(
        before, history.passes(), assignments, params.monitor.every_days, now, is_empty=logged_since is None
    )
    verdict = verdict.model_copy(update={"alarms": (*verdict.alarms, *of_service)})
    _write_outputs(verdict, params, history, assignments)
    _print(verdict, params)
    if act:
        if len(history.passes()) > len(before) or of_service:
            actions.send_message(verdict)
        actions.report_problems(verdict)
        actions.start_verb(params, verdict, history, assignments, now)
    return _conclude(verdict)


def print_history(version: str | None) -> int:
    """Print the passes of a version, or of all, as JSON without the alarms that were acknowledged; judge nothing."""
    url = prediction_log()
    history = History(parse_log(url)) if url else None
    acknowledgements = history.acknowledgements() if history else []
    documents = []
    for record in history.passes() if history else []:
        if version in (None, record.version):
            alarms = [alarm for alarm in record.alarms if not is_acknowledged(record, alarm, acknowledgements)]
            documents.append(record.model_copy(update={"alarms": tuple(alarms)}).model_dump(mode="json"))
    print(json.dumps(documents, indent=2))
    return 0


def make_verdict(params: Params, history: History) -> Verdict:
    """Return the newest passes, and their alarms without an acknowledgement."""
    records, acknowledgements = history.passes(), history.acknowledgements()
    newest = max((record.end for record in records), default=None)
    length = timedelta(days=params.monitor.every_days)
    passes = tuple(record for record in records if newest and record.start >= newest - length)
    alarms = [
        alarm for record in passes for alarm in record.alarms if not is_acknowledged(record, alarm, acknowledgements)
    ]
    return Verdict(
        model_name=params.model_name, made_at=datetime.now(UTC), passes=passes, alarms=tuple(dict.fromkeys(alarms))
    )


def _do_passes(
    params: Params,
    log: Location,
    history: History,
    assignments: Sequence[Assignment],
    due: Sequence[DuePass],
    progress: Progress,
) -> None:
    """Judge every pass that is due, in order, and add it to the history."""
    records, acknowledgements = history.passes(), history.acknowledgements()
    models: dict[str, tuple[Signature, Profile] | None] = {}

    def previous(item: DuePass) -> tuple[str, Base] | None:
        return _fetch_previous(assignments, item.assignment.release_id, params.model_name, progress)

    connection = open_connection()
    for item in due:
        assignment = item.assignment
        if assignment.release_id not in models:
            in_production = assignment.release_id == assignments[-1].release_id
            models[assignment.release_id] = _fetch_model(assignment, in_production, progress)
        model = models[assignment.release_id]
        if model is None:
            continue
        before = Before([record for record in records if record.end <= item.start], acknowledgements)
        _compact(log, item, model[0], progress)
        with progress.step(f"Judging {item.start:%Y-%m-%d} to {item.end:%Y-%m-%d} of {assignment.version}"):
            record = _judge(connection, params, log, item, *model, before, partial(previous, item))
            records.append(history.add_pass(record))
        if item == due[-1] and record.judged and params.monitor.evidently:
            with progress.step("Drawing the Evidently pages"):
                _draw_evidently(connection, params, log, item, model[0], record.quality, progress)


def _compact(log: Location, due: DuePass, signature: Signature, progress: Progress) -> None:
    """Merge the lines of the log. A log that may not be written is read as it is."""
    with progress.step("Merging the files of the prediction log"):
        try:
            compact(log, due.start, due.end, signature, due.assignment.release_id)
        except Unreachable as error:
            progress.print(f"The files of the prediction log are read as they are: {error}")


def _draw_evidently(
    connection: ibis.BaseBackend,
    params: Params,
    log: Location,
    due: DuePass,
    signature: Signature,
    quality: Quality | None,
    progress: Progress,
) -> None:
    """Draw the pages of a pass, of its predictions and of those whose labels it judged."""
    release_id = due.assignment.release_id
    with ExitStack() as stack:
        window = stack.enter_context(open_window(connection, log, signature, release_id, due.start, due.end))
        labelled = None
        if quality and quality.labelled and params.monitor.labels:
            span = (quality.matured_from, quality.matured_to)
            matured = stack.enter_context(open_window(connection, log, signature, release_id, *span))
            labels = stack.enter_context(open_labels(connection, params.monitor.labels, signature))
            labelled = Predictions(labels.join(matured.table, due.end), REQUEST_ID, SCORE, TARGET)
        predictions = Predictions(window.table, REQUEST_ID, SCORE)
        for sentence in write_pages(
            MONITOR, params.monitor.evidently, due.assignment.commit, predictions, labelled, progress
        ):
            progress.print(sentence)


def _write_outputs(verdict: Verdict, params: Params, history: History, assignments: Sequence[Assignment]) -> None:
    """Write verdict, page and metrics. A Pushgateway that does not respond changes no verdict."""
    write_text(MONITOR / "verdict.json", verdict.model_dump_json(indent=2) + "\n")
    write_report(verdict, history.passes(), assignments, MONITOR)
    metrics = metrics_text(verdict, params.monitor.every_days)
    history.write_file(FILE, metrics)
    try:
        push_metrics(metrics, params.model_name)
    except Unreachable as error:
        print(error)


def _judge(
    connection: ibis.BaseBackend,
    params: Params,
    log: Location,
    due: DuePass,
    signature: Signature,
    profile: Profile,
    before: Before,
    fetch_previous: FetchPrevious,
) -> PassRecord:
    release_id = due.assignment.release_id
    quality = judge_quality(connection, log, params, due, signature, profile, before.passes, fetch_previous)
    with open_window(connection, log, signature, release_id, due.start, due.end) as window:
        return judge_pass(window, due.assignment.version, signature, profile, params.monitor, before, quality)


def _fetch_model(assignment: Assignment, in_production: bool, progress: Progress) -> tuple[Signature, Profile] | None:
    """Return signature and profile of a version; None if an earlier version's are in no cache and no remote.

    Raises:
        Unreachable: if those of the version in production are not.
    """
    reason = ""
    try:
        base = base_model.fetch_stored(assignment.commit, progress)
    except Unreachable as error:
        base, reason = None, f": {error}"
    if base is None:
        message = f"the model of {assignment.version} is in no cache and no remote{reason}"
        if in_production:
            raise Unreachable(message, "Run `make push` where the model is in the cache, or check the DVC remote.")
        progress.print(f"{message}; its passes are not judged")
        return None
    if base.profile is None:
        return load_signature(base.signature), Profile(rows=0, inputs={})
    return load_signature(base.signature), load_profile(base.profile)


def _fetch_previous(
    assignments: Sequence[Assignment], release_id: str, model_name: str, progress: Progress
) -> tuple[str, Base] | None:
    """Return the version before a release with its files; None without one, or if they cannot be fetched."""
    assignment = actions.find_previous(assignments, release_id, model_name)
    try:
        base = assignment and base_model.fetch_stored(assignment.commit, progress)
    except Unreachable as error:
        progress.print(f"the previous version is not scored: {error}")
        return None
    return (assignment.version, base) if assignment and base else None


def _not_yet(reason: str) -> int:
    print(f"not in production yet: {reason}")
    return 0


def _print(verdict: Verdict, params: Params) -> None:
    """Print the verdict."""
    if not verdict.passes:
        print(f"no pass yet: one covers {params.monitor.every_days} days, and is judged an hour after its end")
    for record in verdict.passes:
        state = "" if record.judged else f", too few to judge (monitor.min_rows is {params.monitor.min_rows})"
        span = f"{record.start:%Y-%m-%d %H:%M} to {record.end:%Y-%m-%d %H:%M}"
        print(f"{record.version}, {span} UTC: {record.rows:,} predictions{state}")
        for reason, count in record.set_aside.items():
            print(f"  set aside: {counted(count, reason)}")
        if record.quality and record.quality.no_labels:
            print(f"  quality: {record.quality.no_labels}")
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
    if any(alarm.problem in PROBLEMS for alarm in verdict.alarms):
        remedy += '; if this is the new normal: make monitor ACKNOWLEDGE="why"'
    raise Refused(f"{number} alarm{'s' if number > 1 else ''}", f"{remedy}.")
