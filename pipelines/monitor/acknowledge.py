"""Accepting what the alarms of the newest passes reported as the new normal."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from pipelines.cli.errors import InputError
from pipelines.monitor.history import ACCEPTABLE, Acknowledgement, History
from pipelines.monitor.pass_record import PassRecord
from pipelines.repository.git import try_git


def acknowledge(history: History, passes: Sequence[PassRecord], why: str) -> list[str]:
    """Accept the alarms of the newest passes, and return the paths of the acknowledgements: one for each such pass.

    Args:
        passes: those of the verdict, with their open alarms: several if a release split the newest window.

    Raises:
        InputError: without a reason, or without an alarm.
    """
    if not why.strip():
        raise InputError("ACKNOWLEDGE is empty", 'Say why: make monitor ACKNOWLEDGE="prices rose in March".')
    author = os.environ.get("GITHUB_ACTOR") or try_git("config", "user.name") or "unknown"
    at = datetime.now(UTC).replace(microsecond=0)
    paths = []
    for record in passes:
        names = {alarm.name for alarm in record.alarms if alarm.problem in ACCEPTABLE}
        if names:
            inputs = tuple(sorted(names | {item.name for item in record.drift if item.listed}))
            accepted = Acknowledgement(
                version=record.version, end=record.end, inputs=inputs, why=why.strip(), by=author, at=at
            )
            paths.append(history.add_acknowledgement(accepted))
    if not paths:
        raise InputError(
            "there is no alarm of drift or input to acknowledge", "Run `make monitor` without ACKNOWLEDGE."
        )
    return paths
