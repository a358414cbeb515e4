"""Acknowledging alarms: a person states that what was found is the new normal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from pipelines.cli.errors import InputError
from pipelines.monitor.history import Acknowledgement, History
from pipelines.monitor.pass_record import Alarm, PassRecord
from pipelines.repository.git import try_git

PROBLEMS = ("drift", "input")  # of the others, none is a distribution that can be accepted


def acknowledge(history: History, why: str) -> str:
    """Accept the alarms of the newest pass of its version, and return the path of the acknowledgement.

    Raises:
        InputError: without a reason, or without an alarm.
    """
    if not why.strip():
        raise InputError("ACKNOWLEDGE is empty", 'Say why: make monitor ACKNOWLEDGE="prices rose in March".')
    acknowledgements = history.acknowledgements()
    record = next(iter(reversed(history.passes())), None)
    alarms = [alarm for alarm in record.alarms if alarm.problem in PROBLEMS] if record else []
    names = {alarm.name for alarm in alarms if record and not is_acknowledged(record, alarm, acknowledgements)}
    if record is None or not names:
        raise InputError(
            "there is no alarm of drift or input to acknowledge", "Run `make monitor` without ACKNOWLEDGE."
        )
    names |= {item.name for item in record.drift if item.listed}
    author = os.environ.get("GITHUB_ACTOR") or try_git("config", "user.name") or "unknown"
    return history.add_acknowledgement(
        Acknowledgement(
            version=record.version,
            end=record.end,
            inputs=tuple(sorted(names)),
            why=why.strip(),
            by=author,
            at=datetime.now(UTC).replace(microsecond=0),
        )
    )


def is_acknowledged(record: PassRecord, alarm: Alarm, acknowledgements: Sequence[Acknowledgement]) -> bool:
    """Return whether an alarm of a pass was acknowledged in it."""
    return alarm.problem in PROBLEMS and any(
        item.version == record.version and item.end == record.end and alarm.name in item.inputs
        for item in acknowledgements
    )
