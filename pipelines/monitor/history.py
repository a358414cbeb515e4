"""The history of passes beside the prediction log; all state of the monitor is computed from it.

`monitor/passes/2026-03-02-0123456789ab.json` is one pass over one version, and never changes.
`monitor/acknowledged/2026-03-20T101500Z-2026-03-16T0000.json` says that a person accepts what the alarms of the pass
that ended on 2026-03-16 reported.
`monitor/started/2026-03-20T061700Z.json` says that a retraining or a rollback was started.
`monitor/message.txt` is the last message that was sent to the webhook.
`monitor/metrics.prom` is the newest pass as metrics of Prometheus.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.monitor.pass_record import Alarm, PassRecord, Record
from pipelines.tables.locations import Location, store_errors

_Model = TypeVar("_Model", bound=BaseModel)
ACCEPTABLE = ("drift", "input")  # problems; of the others, none is a distribution that can be accepted


class Acknowledgement(Record):
    """A person's statement that what was found in a pass is the new normal.

    Attributes:
        version: in whose passes it was found.
        end: of the pass; its counts are the reference of the inputs from then on.
        inputs: the inputs that were listed, the score included.
    """

    version: str
    end: datetime
    inputs: tuple[str, ...]
    why: str
    by: str
    at: datetime


class Started(Record):
    """A retraining or a rollback that the monitor started because of a quality alarm.

    Attributes:
        version: that raised the alarm, in the pass that ended at `end`.
        done: whether it did what it was started for; if not, it is tried again.
    """

    version: str
    end: datetime
    verb: Literal["retrain", "rollback"]
    at: datetime
    done: bool = True


class History:
    """The folder `monitor/` of a log."""

    def __init__(self, log: Location) -> None:
        self._filesystem = log.filesystem
        self._log = log
        self._folder = f"{log.path}/monitor"

    def passes(self) -> list[PassRecord]:
        """Return all passes, the oldest first.

        Raises:
            InputError: if a file is not a pass.
            Unreachable: if the store does not respond.
        """
        return sorted(self._read(PassRecord, "passes"), key=lambda record: (record.start, record.end))

    def open_passes(self) -> list[PassRecord]:
        """Return all passes without the alarms that were acknowledged in them; errors as `passes`."""
        accepted = {(item.version, item.end, name) for item in self.acknowledgements() for name in item.inputs}

        def is_open(record: PassRecord, alarm: Alarm) -> bool:
            return alarm.problem not in ACCEPTABLE or (record.version, record.end, alarm.name) not in accepted

        return [
            record.model_copy(update={"alarms": tuple(alarm for alarm in record.alarms if is_open(record, alarm))})
            for record in self.passes()
        ]

    def acknowledgements(self) -> list[Acknowledgement]:
        """Return all acknowledgements, the oldest first; errors as `passes`."""
        return sorted(self._read(Acknowledgement, "acknowledged"), key=lambda record: record.at)

    def started(self) -> list[Started]:
        """Return what the monitor started, the oldest first; errors as `passes`."""
        return sorted(self._read(Started, "started"), key=lambda record: record.at)

    def add_started(self, record: Started) -> None:
        """Write that a verb was started."""
        self._write(f"started/{record.at:%Y-%m-%dT%H%M%SZ}.json", record)

    def add_pass(self, record: PassRecord) -> PassRecord:
        """Write a pass, unless another monitor did; return the one that is in the history."""
        path = f"passes/{_name(record)}.json"
        if text := self.read_file(path):
            return _parse(PassRecord, path, text)
        self._write(path, record)
        return record

    def add_acknowledgement(self, record: Acknowledgement) -> str:
        """Write an acknowledgement; return its path."""
        path = f"acknowledged/{record.at:%Y-%m-%dT%H%M%SZ}-{record.end:%Y-%m-%dT%H%M}.json"
        self._write(path, record)
        return f"{self._log.name}/monitor/{path}"

    def write_file(self, name: str, text: str) -> None:
        """Write another file into the folder, whole or not at all, replacing an earlier one."""
        path = f"{self._folder}/{name}"
        if self._log.is_local:
            write_text(Path(path), text)
            return
        with store_errors(self._log):
            self._filesystem.pipe_file(path, text.encode())

    def read_file(self, name: str) -> str | None:
        """Return the text of a file of the folder; None if it is not there."""
        with store_errors(self._log):
            try:
                return str(self._filesystem.cat_file(f"{self._folder}/{name}").decode(errors="replace"))
            except FileNotFoundError:
                return None

    def _read(self, cls: type[_Model], folder: str) -> list[_Model]:
        with store_errors(self._log):
            self._filesystem.invalidate_cache()
            try:
                names = self._filesystem.ls(f"{self._folder}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            paths = [name for name in names if name.endswith(".json") and not name.rpartition("/")[2].startswith(".")]
            contents = self._filesystem.cat(paths) if paths else {}
        return [_parse(cls, name, content.decode(errors="replace")) for name, content in sorted(contents.items())]

    def _write(self, name: str, record: Record) -> None:
        self.write_file(name, record.model_dump_json(indent=2) + "\n")


def _name(record: PassRecord) -> str:
    """Return the name of a pass's file; a pass that begins within a day, because of a release, has its time."""
    midnight = record.start.time().replace(tzinfo=None) == datetime.min.time()
    return f"{record.start:{'%Y-%m-%d' if midnight else '%Y-%m-%dT%H%M%S'}}-{record.release_id}"


def _parse(cls: type[_Model], name: str, text: str) -> _Model:
    try:
        return cls.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{name} is not a file of the monitor: {where}: {first['msg']}",
            "Restore it from a backup, or remove it: its pass is then judged again.",
        ) from error
