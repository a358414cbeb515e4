"""Print what is or was in production, from git's tags alone, fetched if origin responds."""

import json
import sys
from datetime import UTC, datetime, time

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.cli.errors import InputError, Unreachable
from pipelines.deployment import canary
from pipelines.deployment.front import Front
from pipelines.deployment.host import Host
from pipelines.repository import tags
from pipelines.repository.tags import Annotation, Assignment


def print_status(model_name: str, at: str | None, as_json: bool, host: Host | None = None) -> int:
    """Print the assignments up to a time, newest first; those of the last fetch if origin does not respond.

    Args:
        host: this machine, if it may run a canary.
        at: a date (until its end) or a time, ISO 8601, in UTC without a zone; None for now.
        as_json: print JSON.
    """
    until, stale = parse_time(at) if at is not None else datetime.max.replace(tzinfo=UTC), ""
    try:
        tags.fetch_tags(model_name)
    except Unreachable as error:
        print(error, file=sys.stderr)
        stale = ", as of the last fetch"
    history = [assignment for assignment in tags.list_assignments(model_name) if assignment.assigned_at <= until]
    history.reverse()
    if as_json:
        rows = [
            {"assignment": assignment.tag, "since": assignment.assigned_at.isoformat()}
            | assignment.annotation.model_dump(mode="json", exclude={"contract", "signature", "weight", "why"})
            for assignment in history
        ]
        print(json.dumps(rows, indent=2))
    elif not history:
        print(f"Nothing of {model_name} was in production{f' at {at}' if at else ' yet'}{stale}.")
    else:
        _print_history(model_name, history, f"At {at}{stale}" if at else f"Now{stale}")
        if not at and (running := tags.find_canary(model_name)):
            _print_canary(running, host)
    return 0


def _print_canary(running: Assignment, host: Host | None) -> None:
    weight = running.annotation.weight
    print(f"{running.version} is a canary with {weight} % of the requests, since {running.assigned_at:%Y-%m-%d %H:%M}.")
    state = canary.read(host) if host else None
    if host is None or state is None or state.version.tag != running.version:
        return
    share = Front(host).read_share()
    if state.aborted:
        print(f"  This host gives it none, which git does not have yet: {state.aborted}.")
    elif share != weight:
        print(f"  This host gives it {share:g} %.")


def parse_time(text: str) -> datetime:
    """Return the time of a text, of a date its last microsecond; InputError if it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date", "Use a date such as 2026-11-01 or 2026-11-01T12:00.") from error
    if len(text) <= len("2026-11-01"):
        moment = datetime.combine(moment.date(), time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_history(model_name: str, history: list[Assignment], when: str) -> None:
    newest = history[0]
    print(f"{when}, {newest.version} of {model_name} is in production, since {newest.assigned_at:%Y-%m-%d %H:%M:%S}.")
    print(f"  release id {newest.release_id}, image {newest.annotation.image}")
    print(f"  from {newest.main_commit}, {_describe_merge(newest.annotation)}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("assignment", "version", "since (UTC)", "release id", "commit", "merged by"):
        table.add_column(column, no_wrap=column != "merged by")
    for row in history:
        since, merge = f"{row.assigned_at:%Y-%m-%d %H:%M:%S}", _describe_merge(row.annotation)
        table.add_row(row.tag, row.version, since, row.release_id, row.main_commit[:10], merge)
    Console(width=None if Console().is_terminal else 140).print(table)


def _describe_merge(annotation: Annotation) -> str:
    """Return pull request and approvers in words."""
    if annotation.bypassed is None and annotation.pull_request is None:
        return "pull request not known"
    pull = f"#{annotation.pull_request}" if annotation.pull_request else "no pull request"
    bypass = {None: ", rules not readable", True: ", rules bypassed", False: ""}[annotation.bypassed]
    return f"{pull}, approved by {', '.join(annotation.approved_by) or 'nobody'}{bypass}"
