"""Results of subjects with their targets, and bench/results.json."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cli.files import write_json

PATH = Path(__file__).parent / "results.json"
KEYS = ("name", "value", "unit", "peers", "ratio", "target", "met")
_TARGET = re.compile(r"(value|ratio) (<=|<|>=) ([0-9.]+)")


@dataclass(frozen=True)
class Result:
    """One measured figure.

    Attributes:
        value: in `unit`; a median where there are several runs.
        peers: the same measured for another tool, in the same unit; at most one.
        target: such as `ratio <= 3`, `ratio >= 50` or `value <= 4`; empty for what is only reported.
        sound: whether the other conditions of the subject are met.
        note: for the table only.
    """

    name: str
    value: float
    unit: str
    target: str
    peers: dict[str, float] = field(default_factory=dict)
    sound: bool = True
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value / peer if the target is a maximum; peer / value (times faster) if it is a minimum."""
        if not self.peers:
            return None
        (peer,) = self.peers.values()
        return peer / self.value if self.target and self._limit()[1] == ">=" else self.value / peer

    @property
    def is_met(self) -> bool:
        """Whether the target is met and the result is sound."""
        if not self.target:
            return self.sound
        of, operator, limit = self._limit()
        measured = self.value if of == "value" else self.ratio
        if measured is None:
            raise ValueError(f"{self.name} has a target for its ratio, but no peer")
        met = {"<=": measured <= limit, "<": measured < limit, ">=": measured >= limit}[operator]
        return self.sound and met

    def _limit(self) -> tuple[str, str, float]:
        match = _TARGET.fullmatch(self.target)
        if not match:
            raise ValueError(f"{self.target!r} is not a target")
        return match[1], match[2], float(match[3])

    def to_json(self) -> dict[str, Any]:
        """The entry of results.json, numbers with four digits."""
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "peers": {name: _short(value) for name, value in self.peers.items()},
            "ratio": None if self.ratio is None else _short(self.ratio),
            "target": self.target,
            "met": self.is_met,
        }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def save(results: Sequence[Result], order: Iterable[str], path: Path = PATH) -> None:
    """Write the results; entries that were not measured this time stay in the file.

    Args:
        order: all names; entries with other names are removed.
    """
    entries: dict[str, dict[str, Any]] = {}
    if path.is_file():
        entries = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
    entries |= {result.name: result.to_json() for result in results}
    write_json(path, [entries[name] for name in order if name in entries])
