"""What the tests of the service share: a valid row, strategies for rows, signatures and settings."""

import json
import re
from datetime import UTC
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from serving import signature
from serving.settings import Release, Settings
from serving.signature import Signature
from serving.times import PATTERN

GOOD: dict[str, Any] = {
    "ordered_at": "2026-02-03T04:05:06Z",
    "price": 12.5,
    "usual_price": None,
    "items": 3,
    "size": "S",
    "usual_size": "M",
    "shop": "web",
    "region": "north",
    "gift": True,
}

# For each field, values that careful and careless clients send.
_NOTHING = st.sampled_from([None, ""])
_SIZES = st.sampled_from(["S", "M", "L", "XL", "s", "", None, "S\0"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "ordered_at": st.one_of(
        st.datetimes(timezones=st.none() | st.timezones()).map(lambda time: time.isoformat()),
        st.dates().map(str),
        st.datetimes(timezones=st.none() | st.just(UTC)).map(str),
        st.integers(-(2**41), 2**41),
        st.floats(-1e13, 1e13),
        st.sampled_from(["2026-W01-1", "20260101", "2026-01-01T24:00", "noon", "1e3", " 1", "１９７０-01-01"]),
    ),
    "price": st.integers(-1, 1001) | st.floats(-0.01, 1000.01) | _NOTHING,
    "usual_price": st.integers(0) | st.floats(allow_nan=False, allow_infinity=False) | _NOTHING,
    "items": st.integers(0, 51) | st.integers(0, 51).map(float) | st.floats(0, 51),
    "size": _SIZES,
    "usual_size": _SIZES,
    "shop": st.text(max_size=4) | _NOTHING,
    "region": st.sampled_from(["north", "south", "west"]),
    "gift": st.booleans() | st.sampled_from([0, 1, 2, 0.0, 1.0, -0.0, None, "", "true"]),
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a row like GOOD, in another order, with a few fields that have another value, are absent, or are unknown."""
    row = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), unique=True, max_size=4)):
        if draw(st.integers(0, 9)) == 0:
            del row[name]
        else:
            row[name] = draw(FIELDS[name] if draw(st.integers(0, 4)) else ANYTHING)
    if draw(st.integers(0, 19)) == 0:
        row[draw(st.text(max_size=3))] = draw(ANYTHING)
    return {name: row[name] for name in draw(st.permutations(list(row)))}


def is_odd_time(value: Any) -> bool:
    """Return whether it is a text that the scorer may read as a time, as tables have them, and the service does not."""
    return isinstance(value, str) and not re.fullmatch(PATTERN, value)


def document(path: Path, **changes: Any) -> dict[str, Any]:
    """Return the content of a signature.json with some parts replaced."""
    return {**json.loads(path.read_text()), **changes}


def of(content: dict[str, Any], folder: Path) -> Signature:
    """Write a signature.json with this content and load it."""
    path = folder / "signature.json"
    path.write_text(json.dumps(content))
    return signature.load(path)


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Return settings for a model's folder."""
    limits = {"release": "0123456789ab", "max_batch_rows": 100, "max_body_mb": 1.0, "timeout_seconds": 5.0}
    return Settings(Release(**{**limits, **changes}), model_folder=str(folder), model_version="orders@v1.0.0")


class CountedRows:
    """Metrics that only count the rows of the log."""

    def __init__(self) -> None:
        self.rows = {"written": 0, "dropped": 0}

    def count_written_rows(self, rows: int) -> None:
        self.rows["written"] += rows

    def count_dropped_rows(self, rows: int) -> None:
        self.rows["dropped"] += rows
