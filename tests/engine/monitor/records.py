"""Records of passes for tests."""

from datetime import datetime
from typing import Any

from pipelines.monitor.pass_record import PassRecord


def record(
    start: datetime, end: datetime, version: str = "fraud@v1.0.0", release_id: str = "0123456789ab", **fields: Any
) -> PassRecord:
    """A quiet pass without columns; `fields` replaces some."""
    quiet: dict[str, Any] = {
        "rows": 1_000,
        "judged": True,
        "set_aside": {},
        "not_watched": (),
        "drift": (),
        "checks": (),
        "budget": None,
        "quality": None,
        "latency_ms": {},
        "alarms": (),
    }
    return PassRecord(start=start, end=end, version=version, release_id=release_id, **(quiet | fields))
