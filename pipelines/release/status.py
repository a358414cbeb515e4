"""What is in production, and what was: from git's tags alone, fetched where origin answers."""

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


def show(name: str, at: str | None, as_json: bool) -> int:
    """Print the history up to a moment, the newest first.

    Args:
        at: a date (its end is meant) or a time, ISO 8601, UTC where no zone is given; None for now.
        as_json: for programs instead of people.

    Returns:
        0, also where nothing was in production yet, or origin cannot be asked: then what was fetched last is told.
    """
    stale = "" if _fetched(name) else ", as of the last fetch"
    history = tags.assignments(name)
    if at is not None:
        until = moment(at)
        history = [assignment for assignment in history if assignment.at <= until]
    rows = [_row(assignment) for assignment in reversed(history)]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print(f"Nothing of {name} was in production{f' at {at}' if at else ' yet'}{stale}.")
    else:
        _print(name, rows, f"At {at}{stale}" if at else f"Now{stale}")
    return 0


def _fetched(name: str) -> bool:
    """Bring origin's tags of a line; whether it could be asked."""
    try:
        tags.fetch(name)
    except Unreachable as error:
        print(error, file=sys.stderr)
        return False
    return True


def moment(text: str) -> datetime:
    """The moment that a text means.

    Raises:
        InputError: if it is neither a date nor a time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no date", "Give one such as 2026-11-01 or 2026-11-01T12:00.") from error
    if len(text) <= len("2026-11-01"):
        found = datetime.combine(found.date(), time.min) + timedelta(days=1, microseconds=-1)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _row(assignment: Assignment) -> dict[str, Any]:
    said = assignment.said
    return {
        "assignment": assignment.tag,
        "version": assignment.version,
        "since": assignment.at.isoformat(),
        "release": assignment.release,
        "image": said.image,
        "model": said.model,
        "main_commit": assignment.main_commit,
        "pull_request": said.pull_request,
        "approved_by": list(said.approved_by),
        "bypassed": said.bypassed,
        "metrics": said.metrics,
    }


def _print(name: str, rows: list[dict[str, Any]], when: str) -> None:
    now = rows[0]
    print(f"{when}, {now['version']} of {name} is in production, since {_time(now)}.")
    print(f"  release {now['release']}, image {now['image']}")
    print(f"  from {now['main_commit']}, {_origin(now)}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("assignment", "version", "since (UTC)", "release", "commit", "merged by"):
        table.add_column(column, no_wrap=column != "merged by")
    for row in rows:
        cells = (row["assignment"], row["version"], _time(row), row["release"], row["main_commit"][:10], _origin(row))
        table.add_row(*cells)
    Console(width=None if Console().is_terminal else 140).print(table)


def _time(row: dict[str, Any]) -> str:
    return datetime.fromisoformat(row["since"]).strftime("%Y-%m-%d %H:%M:%S")


def _origin(row: dict[str, Any]) -> str:
    """Which pull request it was, and who approved it."""
    if row["bypassed"] is None and row["pull_request"] is None:
        return "not asked of GitHub"
    pull = f"#{row['pull_request']}" if row["pull_request"] else "no pull request"
    approved = f"approved by {', '.join(row['approved_by'])}" if row["approved_by"] else "approved by nobody"
    kept = {None: ", rules not readable", True: ", rules bypassed", False: ""}[row["bypassed"]]
    return f"{pull}, {approved}{kept}"
