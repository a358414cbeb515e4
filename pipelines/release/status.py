"""Print what is or was in production, from git's tags alone, fetched if origin responds."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, time, timedelta
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.cli.errors import InputError, Unreachable
from pipelines.repository import tags
from pipelines.repository.tags import Assignment


def print_status(model_name: str, at: str | None, as_json: bool) -> int:
    """Print the assignments up to a time, newest first.

    Args:
        at: a date (until its end) or a time, ISO 8601, in UTC without a zone; None for now.
        as_json: print JSON.

    Returns:
        0; also where nothing was in production, or origin does not respond and the last fetch is printed.
    """
    stale = "" if _fetch_tags(model_name) else ", as of the last fetch"
    history = tags.list_assignments(model_name)
    if at is not None:
        until = parse_time(at)
        history = [assignment for assignment in history if assignment.assigned_at <= until]
    rows = [_build_row(assignment) for assignment in reversed(history)]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print(f"Nothing of {model_name} was in production{f' at {at}' if at else ' yet'}{stale}.")
    else:
        _print_history(model_name, rows, f"At {at}{stale}" if at else f"Now{stale}")
    return 0


def _fetch_tags(model_name: str) -> bool:
    """Fetch origin's tags of a model; return whether origin responded."""
    try:
        tags.fetch_tags(model_name)
    except Unreachable as error:
        print(error, file=sys.stderr)
        return False
    return True


def parse_time(text: str) -> datetime:
    """Return the time of a text; of a date, its last microsecond.

    Raises:
        InputError: if it is neither a date nor a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date", "Use a date such as 2026-11-01 or 2026-11-01T12:00.") from error
    if len(text) <= len("2026-11-01"):
        moment = datetime.combine(moment.date(), time.min) + timedelta(days=1, microseconds=-1)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _build_row(assignment: Assignment) -> dict[str, Any]:
    annotation = assignment.annotation
    return {
        "assignment": assignment.tag,
        "version": assignment.version,
        "since": assignment.assigned_at.isoformat(),
        "release": assignment.release_id,
        "image": annotation.image,
        "model": annotation.model,
        "main_commit": assignment.main_commit,
        "pull_request": annotation.pull_request,
        "approved_by": list(annotation.approved_by),
        "bypassed": annotation.bypassed,
        "metrics": annotation.metrics,
    }


def _print_history(model_name: str, rows: list[dict[str, Any]], when: str) -> None:
    newest = rows[0]
    print(f"{when}, {newest['version']} of {model_name} is in production, since {_format_time(newest)}.")
    print(f"  release id {newest['release']}, image {newest['image']}")
    print(f"  from {newest['main_commit']}, {_describe_merge(newest)}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("assignment", "version", "since (UTC)", "release id", "commit", "merged by"):
        table.add_column(column, no_wrap=column != "merged by")
    for row in rows:
        columns = (row["assignment"], row["version"], _format_time(row), row["release"], row["main_commit"][:10])
        table.add_row(*columns, _describe_merge(row))
    Console(width=None if Console().is_terminal else 140).print(table)


def _format_time(row: dict[str, Any]) -> str:
    return datetime.fromisoformat(row["since"]).strftime("%Y-%m-%d %H:%M:%S")


def _describe_merge(row: dict[str, Any]) -> str:
    """Return pull request and approvers in words."""
    if row["bypassed"] is None and row["pull_request"] is None:
        return "pull request not known"
    pull = f"#{row['pull_request']}" if row["pull_request"] else "no pull request"
    approval = f"approved by {', '.join(row['approved_by'])}" if row["approved_by"] else "approved by nobody"
    bypass = {None: ", rules not readable", True: ", rules bypassed", False: ""}[row["bypassed"]]
    return f"{pull}, {approval}{bypass}"
