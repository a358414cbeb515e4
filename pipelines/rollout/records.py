"""What a host reports of a canary's step: the counts so far, and what its judge concluded.

Written by the watch of each host into the folder of its front, and beside the prediction log if that has a URL
(`rollout/fraud-v1.4.0-25-HOST.json`), because rollout.yml may run on another machine.
"""

import socket
from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.cli.files import write_text
from pipelines.deployment.host import Host
from pipelines.rollout.judge import REASONS, Counts, Evidence, Judgement
from pipelines.tables.locations import parse_location, prediction_log, store_errors

LOG = "prediction log"
State = Literal["waiting", "within", "worse"]


class Record(BaseModel):
    """One step of a canary on one host.

    Attributes:
        version: its tag, such as `fraud@v1.4.0`.
        percent: its share of the requests.
        host: name of the machine; LOG for what the prediction log tells.
        tag: of the canary's assignment, as the host has it; empty until that is pushed.
        since: when the host began with this canary; one that was aborted may begin again.
        seconds: how long the judge has watched; a jump of the clock does not count.
        updated: time of the last look.
        state: whether the canary is worse, or within all limits, with evidence.
        reasons: why it is worse; of one that waits, the names of the tests without evidence.
        counts: of production and canary since the step began (`Counts`).
        bets: of `Evidence`.
        read: the counters of each replica at the last look, from which the next look is counted.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    percent: int
    host: str
    tag: str = ""
    since: str = ""
    seconds: float
    updated: datetime
    state: State
    reasons: tuple[str, ...]
    counts: dict[str, list[float] | list[list[float]]]
    bets: list[float]
    read: dict[str, dict[str, float]]

    @property
    def evidence(self) -> Evidence:
        """The evidence as arrays."""
        return Evidence(Counts(**{name: np.array(value) for name, value in self.counts.items()}), np.array(self.bets))

    @property
    def requests(self) -> tuple[int, int]:
        """Requests of production and of the canary."""
        production, canary = self.evidence.counts.requests
        return int(production), int(canary)


class Records:
    """The records of a model's canaries."""

    def __init__(self, host: Host) -> None:
        self._folder = host.folder / "rollout"
        log = prediction_log()
        self._store = parse_location(f"{log}/rollout", "PREDICTION_LOG") if log and "://" in log else None

    def read_own(self, version: str, percent: int) -> Record | None:
        """Return this host's record of a step, from its own disk."""
        path = self._folder / _name(version, percent, this_host())
        return _parse(path.read_bytes()) if path.is_file() else None

    def read_all(self, version: str, percent: int) -> list[Record]:
        """Return the records of a step, one a host; a file that is not a record is ignored."""
        store = self._store or parse_location(str(self._folder), "PREDICTION_LOG")
        with store_errors(store):
            store.filesystem.invalidate_cache()
            names = store.filesystem.glob(f"{store.path}/{_name(version, percent, '*')}")
            texts = store.filesystem.cat(names) if names else {}
        records = [record for text in texts.values() if (record := _parse(text))]
        return [record for record in records if (record.version, record.percent) == (version, percent)]

    def write(self, record: Record) -> None:
        """Replace this host's record of the step, on its disk first."""
        name = _name(record.version, record.percent, record.host)
        self.write_page(name, record.model_dump_json(indent=1) + "\n")

    def write_page(self, name: str, text: str) -> None:
        """Write a text, on this disk first; errors as `write`."""
        write_text(self._folder / name, text)
        if self._store:
            with store_errors(self._store):
                self._store.filesystem.pipe_file(f"{self._store.path}/{name}", text.encode())


def conclude(judgement: Judgement) -> tuple[State, tuple[str, ...]]:
    """Return the state and the reasons of a record."""
    if worse := [REASONS[name] for name, is_worse in judgement.worse.items() if is_worse]:
        return "worse", ("; ".join(worse),)
    unknown = tuple(name for name, is_within in judgement.within.items() if not is_within)
    return ("waiting" if unknown else "within"), unknown


def _parse(text: bytes) -> Record | None:
    try:
        return Record.model_validate_json(text)
    except ValidationError:
        return None


def this_host() -> str:
    """Return the name of this machine, as it appears in file names."""
    return "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname())[:60] or "host"


def _name(version: str, percent: int, host: str) -> str:
    return f"{version.replace('@', '-')}-{percent}-{host}.json"
