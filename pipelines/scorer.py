"""The one scorer: models/model.onnx and models/signature.json in, probabilities or values out.

Evaluation, comparison, critical cases and batch scoring all go through this file, so it needs only NumPy and
ONNX Runtime, and can score any model of the past without the code that trained it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

Columns = Mapping[str, npt.NDArray[Any]]
BATCH_ROWS = 100_000
_DTYPES: dict[str, Any] = {
    "number": np.float32,
    "integer": np.float32,
    "boolean": np.float32,
    "category": np.object_,
    "timestamp": np.int64,
}


@dataclass(frozen=True)
class Input:
    """One raw request field. Missing is NaN in a number and the empty string in a category."""

    name: str
    type: str
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = None
    sensitive: bool = False

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
        if self.min is not None or self.max is not None:
            low = "" if self.min is None else f" from {self.min:g}"
            high = "" if self.max is None else f" to {self.max:g}"
            what += low + high
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
            KeyError, TypeError: if it lacks a part.
        """
        inputs = []
        for item in document["inputs"]:
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
        graph = tuple(item.name for item in self._session.get_inputs())
        if set(graph) != set(self.signature.names):
            raise InputError(
                f"{model} and its signature do not belong together: the graph reads {', '.join(sorted(graph))}, "
                f"the signature names {', '.join(sorted(self.signature.names))}",
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
        (answer,) = self._session.run([self.signature.output], feed)
        return np.asarray(answer, dtype=np.float64).reshape(-1)

    def score_row(self, row: Mapping[str, Any]) -> float:
        """Score one row of raw values that `check` found nothing wrong with."""
        feed = {item.name: _cell(item, row.get(item.name)) for item in self.signature.inputs}
        (answer,) = self._session.run([self.signature.output], feed)
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
    except (ValueError, KeyError, TypeError) as error:
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


def missing(item: Input) -> Any:
    """The marker that the graph takes for a missing value."""
    return "" if item.type == "category" else math.nan


def encode(item: Input, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn a column of raw values (None is missing) into what the graph takes.

    Args:
        values: shape (n,): objects, numbers, strings, or datetime64.

    Returns:
        float32, int64 (epoch seconds) or object strings, shape (n,).
    """
    if item.type == "category":
        return np.array(["" if value is None or value != value else str(value) for value in values], dtype=np.object_)
    if np.issubdtype(values.dtype, np.datetime64):
        return values.astype("datetime64[s]").astype(np.int64)
    if item.type == "timestamp":
        return np.array([to_epoch(value) for value in values], dtype=np.int64)
    if values.dtype == np.object_:
        values = np.array([math.nan if value is None else value for value in values])
    return values.astype(_DTYPES[item.type])


def to_epoch(value: Any) -> int:
    """Seconds since 1970 of a time given as datetime, ISO 8601 text or number; naive times are UTC.

    Raises:
        ValueError: if it is no time.
    """
    if isinstance(value, bool) or value is None:
        raise ValueError("not a time")
    if isinstance(value, int | float | np.integer):
        return int(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise ValueError("not a time")
    return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _cell(item: Input, value: Any) -> npt.NDArray[Any]:
    if value is None:
        value = missing(item)
    elif item.type == "timestamp":
        value = to_epoch(value)
    return np.array([[value]], dtype=_DTYPES[item.type])


def _check_cell(item: Input, value: Any) -> Rejection | None:
    if value is None or value == "" or value != value:
        return None if item.nullable else Rejection(item.name, f"is missing; expected {item.expects()}")
    if _fits(item, value):
        return None
    shown = "" if item.sensitive else f" (got {str(value)[:60]!r})"
    return Rejection(item.name, f"expected {item.expects()}{shown}")


def _fits(item: Input, value: Any) -> bool:
    """Whether a present value is of the type, in the range and among the allowed ones."""
    if item.type == "category":
        return isinstance(value, str) and (item.allowed is None or value in item.allowed)
    if item.type == "timestamp":
        try:
            return abs(to_epoch(value)) < 2**40
        except (ValueError, OverflowError, TypeError):
            return False
    if item.type == "boolean":
        return isinstance(value, bool | np.bool_) or (isinstance(value, int | float) and value in (0, 1))
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return False
    if item.type == "integer" and value != int(value) if math.isfinite(value) else True:
        return False
    return bool((item.min is None or value >= item.min) and (item.max is None or value <= item.max))


def batches(rows: int, size: int = BATCH_ROWS) -> Iterator[slice]:
    """Slices that cover `rows` rows in order."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
