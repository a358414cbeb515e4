"""What a subject measured, whether its target holds, and bench/results.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cli.files import write_json

PATH = Path(__file__).parent / "results.json"
KEYS = ("name", "value", "unit", "peers", "ratio", "target", "holds")
_TARGET = re.compile(r"(value|ratio) (<=|<|>=) ([0-9.]+)")


@dataclass(frozen=True)
class Result:
    """One measured figure.

    Attributes:
        value: in `unit`; a median where there are several runs.
        peers: what others take for the same, in the same unit; at most one.
        target: such as `ratio <= 3`, `ratio >= 50` or `value <= 4`.
        sound: whether what else the subject asks for holds.
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
        """Value to peer where the target is at most a number, peer to value (times faster) where it is at least one."""
        if not self.peers:
            return None
        (peer,) = self.peers.values()
        return peer / self.value if self._limit()[1] == ">=" else self.value / peer

    @property
    def holds(self) -> bool:
        """Whether the target is met, and the subject did what it should."""
        of, operator, limit = self._limit()
        measured = self.value if of == "value" else self.ratio
        if measured is None:
            raise ValueError(f"{self.name} has a target of its ratio, and no peer")
        met = {"<=": measured <= limit, "<": measured < limit, ">=": measured >= limit}[operator]
        return self.sound and met

    def _limit(self) -> tuple[str, str, float]:
        found = _TARGET.fullmatch(self.target)
        if not found:
            raise ValueError(f"{self.target!r} is no target")
        return found[1], found[2], float(found[3])

    def to_json(self) -> dict[str, Any]:
        """The entry of results.json, numbers with four digits."""
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "peers": {name: _short(value) for name, value in self.peers.items()},
            "ratio": None if self.ratio is None else _short(self.ratio),
            "target": self.target,
            "holds": self.holds,
        }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def save(results: Sequence[Result], order: Iterable[str], path: Path = PATH) -> None:
    """Write the results, and keep of the file what was not measured this time.

    Args:
        order: all names there are; entries of other names leave the file.
    """
    entries: dict[str, dict[str, Any]] = {}
    if path.is_file():
        entries = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
    entries |= {result.name: result.to_json() for result in results}
    write_json(path, [entries[name] for name in order if name in entries])
