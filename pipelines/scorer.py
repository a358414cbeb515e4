"""The one scorer: models/model.onnx and models/signature.json in, probabilities or values out.

Evaluation, comparison, critical cases and batch scoring all go through this file, so it needs only NumPy and
ONNX Runtime, and can score any model of the past without the code that trained it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

Columns = Mapping[str, npt.NDArray[Any]]
BATCH_ROWS = 100_000
MAX_EPOCH = 2**40  # no calendar goes further, and milliseconds taken for seconds do
MAX_NUMBER = float(np.finfo(np.float32).max)  # beyond it the graph would see infinity
_FLOAT, _INT, _OBJECT = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.object_)
_GRAPH_TYPES = {
    "number": "tensor(float)",
    "integer": "tensor(float)",
    "boolean": "tensor(float)",
    "category": "tensor(string)",
    "timestamp": "tensor(int64)",
}
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# Tuples, because a union of classes would be built anew for each value.
_NUMBERS = (int, float, np.integer, np.floating)
_NO_NUMBERS = (bool, np.timedelta64)  # numbers by class only
_BOOLS = (bool, np.bool_)
_NARROW = (np.float32, np.float16)
_MAY_BE_NAN = (float, np.floating, datetime, np.datetime64)


@dataclass(frozen=True)
class Input:
    """One raw request field. Missing is NaN in a number and the empty string in a category.

    Raises:
        ValueError: if a graph cannot have such an input; a time has no marker for missing.
    """

    name: str
    type: str
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    sensitive: bool = False

    def __post_init__(self) -> None:
        if self.type not in _GRAPH_TYPES:
            raise ValueError(f"{self.name} is of type {self.type}, which no model reads")
        if self.type == "timestamp" and self.nullable:
            raise ValueError(f"{self.name} is a timestamp, which cannot be missing")
        if not all(limit is None or isinstance(limit, int | float) for limit in (self.min, self.max)):
            raise ValueError(f"{self.name} has a range that is not of numbers")

    def expects(self) -> str:
        """What a value must be, in words for an error message."""
        if self.allowed is not None:
            what = "one of " + ", ".join(self.allowed)
        else:
            what = {
                "number": "a number",
                "integer": "a whole number",
                "boolean": "true or false",
                "category": "a text",
                "timestamp": "a time (ISO 8601, or seconds since 1970)",
            }[self.type]
        if self.min is not None:
            what += f" from {self.min:.15g}"
        if self.max is not None:
            what += f"{' up' if self.min is None else ''} to {self.max:.15g}"
        return what + (" or nothing" if self.nullable else "")


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, and the rows that it was trained on (`trained_until`, or `split`)."""

    release: str
    task: str
    target: str
    inputs: tuple[Input, ...]
    output: str
    candidate: str
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    trained_until: str | None = None
    split: Mapping[str, Any] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the raw fields, in the order of the graph's inputs."""
        return tuple(item.name for item in self.inputs)

    def to_json(self) -> dict[str, Any]:
        """The content of signature.json."""
        document: dict[str, Any] = {
            "release": self.release,
            "task": self.task,
            "target": self.target,
            "candidate": self.candidate,
            "inputs": [_without_none(item) for item in self.inputs],
            "output": self.output,
            "example": dict(self.example),
        }
        if self.task == "classification":
            document |= {"classes": list(self.classes), "threshold": self.threshold}
        if self.split is None:
            document["trained_until"] = self.trained_until
        else:
            document["split"] = dict(self.split)
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Signature:
        """Read the content of a signature.json.

        Raises:
            KeyError, TypeError, ValueError: if it lacks a part, or has one that cannot be.
        """
        inputs = []
        for item in document["inputs"]:
            if not isinstance(item, Mapping) or not isinstance(item.get("allowed", []), list):
                raise TypeError("an input is not described as one")
            fields = {key: value for key, value in item.items() if key != "missing"}
            fields["allowed"] = tuple(fields["allowed"]) if "allowed" in fields else None
            inputs.append(Input(**fields))
        rest = {key: document[key] for key in ("release", "task", "target", "candidate", "output", "example")}
        return Signature(
            inputs=tuple(inputs),
            classes=tuple(document.get("classes", ())),
            threshold=document.get("threshold"),
            trained_until=document.get("trained_until"),
            split=document.get("split"),
            **rest,
        )


def _without_none(item: Input) -> dict[str, Any]:
    document: dict[str, Any] = {"name": item.name, "type": item.type, "nullable": item.nullable}
    document |= {key: value for key in ("min", "max") if (value := getattr(item, key)) is not None}
    if item.allowed is not None:
        document["allowed"] = list(item.allowed)
    if item.sensitive:
        document["sensitive"] = True
    if item.nullable:
        document["missing"] = "" if item.type == "category" else "NaN"
    return document


@dataclass(frozen=True)
class Rejection:
    """Why a row cannot be scored: the field and what was expected. It never holds a sensitive value."""

    field: str
    reason: str


class Scorer:
    """A loaded model.

    Attributes:
        signature: what it takes and gives.
    """

    def __init__(self, model: Path, signature: Path | Signature, threads: int = 0) -> None:
        """Load a model and its signature.

        Args:
            signature: its file, or what would be in it (a candidate has no file yet).
            threads: threads for one batch; 0 takes all cores, 1 is best for single rows.

        Raises:
            InputError: if a file is missing, corrupt, or does not fit the other one.
        """
        self.signature = load_signature(signature) if isinstance(signature, Path) else signature
        self._session = _session(model, threads)
        self._check_pair(model)
        self._cells = [(item.name, _CELLS.get(item.type, _number_cell)) for item in self.signature.inputs]
        self._outputs = [self.signature.output]

    def _check_pair(self, model: Path) -> None:
        """Refuse a graph whose inputs or answer are not those of the signature."""
        takes = {f"{item.name}: {item.type}" for item in self._session.get_inputs()}
        named = {f"{item.name}: {_GRAPH_TYPES[item.type]}" for item in self.signature.inputs}
        if takes != named:
            fault = f"the graph alone has {_listed(takes - named)}, the signature alone {_listed(named - takes)}"
        elif self.signature.output not in (gives := [item.name for item in self._session.get_outputs()]):
            fault = f"the graph gives {_listed(set(gives))}, the signature names {self.signature.output}"
        else:
            return
        raise InputError(
            f"{model} and its signature do not belong together: {fault}",
            "Bring both from the same commit: `make review`, or `dvc checkout`.",
        )

    def score(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Score encoded columns.

        Args:
            columns: per raw field an array of shape (n,) as `encode` gives it; others are ignored.

        Returns:
            Probabilities of the positive class, or values, of shape (n,).
        """
        rows = len(columns[self.signature.names[0]])
        parts = [self._run(columns, start) for start in range(0, rows, BATCH_ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _run(self, columns: Columns, start: int) -> npt.NDArray[np.float64]:
        feed = {name: columns[name][start : start + BATCH_ROWS, None] for name in self.signature.names}
        (answer,) = self._session.run(self._outputs, feed)
        return np.asarray(answer, dtype=np.float64).reshape(-1)

    def score_row(self, row: Mapping[str, Any]) -> float:
        """Score one row of raw values that `check` found nothing wrong with."""
        (answer,) = self._session.run(self._outputs, {name: cell(row.get(name)) for name, cell in self._cells})
        return float(answer[0, 0])

    def check(self, row: Mapping[str, Any]) -> list[Rejection]:
        """What is wrong with one row of raw values; empty if it can be scored."""
        return [found for item in self.signature.inputs if (found := _check_cell(item, row.get(item.name)))]

    def decide(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Decisions of shape (n,): whether the probability reaches the threshold."""
        assert self.signature.threshold is not None, "a regression decides nothing"
        return scores >= self.signature.threshold


def load_signature(path: Path) -> Signature:
    """Read signature.json.

    Raises:
        InputError: if it is missing or not a signature.
    """
    try:
        return Signature.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing", "Reproduce the pipeline: `make review`.") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f"{path} is not a signature: {error}", "Restore it: `dvc checkout`, or `make review`."
        ) from error


def _session(model: Path, threads: int) -> Any:
    import onnxruntime

    if not model.is_file():
        raise InputError(f"{model} is missing", "Reproduce the pipeline: `make review`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is said by the exception below
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own for each fault
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"{model} is not a readable model: {reason}", "Restore it: `dvc checkout --force`.") from error


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def missing(item: Input) -> Any:
    """The marker that the graph takes for a missing value."""
    return "" if item.type == "category" else math.nan


def is_missing(value: Any) -> bool:
    """Whether a raw value stands for a missing one: None, NaN, NaT or the empty text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value
    # Of other classes nothing is known, not even whether they can be compared.
    return isinstance(value, _MAY_BE_NAN) and bool(value != value)


def encode(item: Input, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn a column of raw values (None is missing) into what the graph takes.

    Args:
        values: shape (n,): objects, numbers, strings, or datetime64.

    Returns:
        float32, int64 (epoch seconds) or object strings, shape (n,).

    Raises:
        ValueError: if a value is not of the type, or a time is missing.
    """
    if item.type == "category":
        return np.array(["" if is_missing(value) else str(value) for value in values], dtype=_OBJECT)
    if item.type == "timestamp":
        return _encode_times(values)
    if values.dtype == _OBJECT:
        values = np.array([math.nan if is_missing(value) else value for value in values], dtype=np.float64)
    return values.astype(_FLOAT)


def _encode_times(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if np.issubdtype(values.dtype, np.datetime64):
        if np.isnat(values).any():
            raise ValueError("a time is missing")
        return values.astype("datetime64[s]").astype(np.int64)
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64)
    return np.array([to_epoch(value) for value in values], dtype=np.int64)


def to_epoch(value: Any) -> int:
    """Seconds since 1970, cut downwards, of a datetime, a date, ISO 8601 text or a number; naive times are UTC.

    Raises:
        ValueError: if it is no time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]").astype(np.int64).item() if not np.isnat(value) else math.nan
    if isinstance(value, datetime):
        # Whole numbers all the way: a float has no microseconds left far from 1970.
        return int((value - (_EPOCH_UTC if value.tzinfo else _EPOCH)) // _SECOND)
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400
    if _is_number(value) and (isinstance(value, int) or np.isfinite(value)):
        seconds: int = math.floor(value)
        return seconds
    raise ValueError("not a time")


def _number_cell(value: Any) -> npt.NDArray[Any]:
    return np.array(math.nan if value is None or isinstance(value, str) else value, _FLOAT, ndmin=2)


def _category_cell(value: Any) -> npt.NDArray[Any]:
    return np.array("" if is_missing(value) else value, _OBJECT, ndmin=2)


def _time_cell(value: Any) -> npt.NDArray[Any]:
    return np.array(to_epoch(value), _INT, ndmin=2)


_CELLS: dict[str, Callable[[Any], npt.NDArray[Any]]] = {"category": _category_cell, "timestamp": _time_cell}


def _check_cell(item: Input, value: Any) -> Rejection | None:
    if is_missing(value):
        return None if item.nullable else Rejection(item.name, f"is missing; expected {item.expects()}")
    if _fits(item, value):
        return None
    shown = "" if item.sensitive else f" (got {_shown(value)})"
    return Rejection(item.name, f"expected {item.expects()}{shown}")


def _shown(value: Any) -> str:
    try:
        return repr(str(value)[:60])
    except Exception:  # any class may fail in its own way; a whole number of 5,000 digits does, too
        return f"a {type(value).__name__} that cannot be shown"


def _fits(item: Input, value: Any) -> bool:
    """Whether a present value is of the type, in the range and among the allowed ones."""
    if item.type == "category":
        return isinstance(value, str) and (_is_plain(value) if item.allowed is None else value in item.allowed)
    if item.type == "timestamp":
        try:
            return abs(to_epoch(value)) < MAX_EPOCH
        except ValueError:
            return False
    if isinstance(value, _BOOLS):
        return item.type == "boolean"
    return _is_number(value) and _fits_number(item, value)


def _is_plain(text: str) -> bool:
    """Whether a graph can take the text: its strings end at a NUL, and are UTF-8."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, _NO_NUMBERS)


def _fits_number(item: Input, value: Any) -> bool:
    low, high = item.min, item.max
    if isinstance(value, _NARROW):
        # A float32 of 0.01 is below the double 0.01: compare it in its own precision.
        with np.errstate(over="ignore"):
            low, high = (None if limit is None else float(np.float32(limit)) for limit in (low, high))
    try:
        number = float(value)
    except OverflowError:
        return False
    if not abs(number) <= MAX_NUMBER:
        return False
    if item.type == "boolean":
        return number in (0, 1)
    if item.type == "integer" and not number.is_integer():
        return False
    return (low is None or number >= low) and (high is None or number <= high)


def batches(rows: int, size: int = BATCH_ROWS) -> Iterator[slice]:
    """Slices that cover `rows` rows in order."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
