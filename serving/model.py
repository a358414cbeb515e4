"""models/model.onnx, loaded and scored with ONNX Runtime."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving import signature
from serving.errors import CannotStartError
from serving.fields import UnfitError, encoder
from serving.rows import Columns, Row
from serving.signature import GRAPH_TYPES, Signature

_DTYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(string)": object}


class Model:
    """A loaded model; one thread scores a batch.

    Attributes:
        signature: what it takes and gives.
        md5: of model.onnx, as in dvc.lock.
    """

    def __init__(self, folder: Path) -> None:
        """Load model.onnx and signature.json of a folder.

        Raises:
            CannotStartError: if a file is missing, corrupt, or does not fit the other one, or if the graph does not
                answer the signature's example.
        """
        path = folder / "model.onnx"
        self.signature = signature.load(folder / "signature.json")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CannotStartError(f"{path} cannot be read: {error.strerror}") from error
        self.md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self._session = _session(path, content)
        _check_pair(path, self._session, self.signature)
        self._outputs = [self.signature.output]
        self._dtypes = [(field.name, _DTYPES[GRAPH_TYPES[field.type]]) for field in self.signature.fields]
        self._cells = {name: np.empty((1, 1), dtype) for name, dtype in self._dtypes}
        self._items = list(self._cells.values())
        self._check_example(path)

    def score_row(self, row: Row) -> float:
        """Probability of the positive class, or value, of one encoded row. Only one thread may be here at a time."""
        for cell, value in zip(self._items, row, strict=True):
            cell[0, 0] = value
        (answer,) = self._session.run(self._outputs, self._cells)
        return float(answer[0, 0])

    def score(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Probabilities of the positive class, or values, of shape (n,), of encoded columns."""
        return np.asarray(self._answer(columns), dtype=np.float64).reshape(-1)

    def _answer(self, columns: Columns) -> Any:
        feed = {
            name: np.array(column, dtype=dtype)[:, None]
            for (name, dtype), column in zip(self._dtypes, columns, strict=True)
        }
        (answer,) = self._session.run(self._outputs, feed)
        return answer

    def _check_example(self, path: Path) -> None:
        """Names and types may fit, and the graph answer otherwise or not at all: it is told before anybody asks."""
        row = _example(path.with_name("signature.json"), self.signature)
        for rows in (1, 2) if row else ():
            if fault := self._fault([[value] * rows for value in row], rows):
                raise CannotStartError(f"{path} does not answer the example of its signature {rows} times: {fault}")

    def _fault(self, columns: Columns, rows: int) -> str | None:
        try:
            answer = np.asarray(self._answer(columns), dtype=np.float64)
        except Exception as error:  # ONNX Runtime raises a class of its own for each fault
            return str(error).splitlines()[0][:200]
        if answer.shape != (rows, 1):
            return f"the answer has the shape {answer.shape}, not {(rows, 1)}"
        return None if np.isfinite(answer).all() else "the answer is not finite"


def _example(path: Path, signature: Signature) -> Row:
    """The encoded example of a signature; empty where it has none, or one whose numbers were rounded past a bound."""
    example = signature.example
    if unknown := example.keys() - {field.name for field in signature.fields}:
        raise CannotStartError(f"{path} has an example with {min(unknown)}, which is no field")
    try:
        return [encoder(field)(example.get(field.name)) for field in signature.fields] if example else []
    except UnfitError:
        return []


def _session(path: Path, content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is said by the exception below
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own for each fault
        raise CannotStartError(f"{path} is not a readable model: {str(error).splitlines()[0][:200]}") from error


def _check_pair(path: Path, session: Any, signature: Signature) -> None:
    takes = {f"{item.name}: {item.type}" for item in session.get_inputs()}
    named = {f"{field.name}: {GRAPH_TYPES[field.type]}" for field in signature.fields}
    gives = {item.name for item in session.get_outputs()}
    if takes != named:
        fault = f"the graph alone has {_listed(takes - named)}, the signature alone {_listed(named - takes)}"
    elif signature.output not in gives:
        fault = f"the graph gives {_listed(gives)}, the signature names {signature.output}"
    else:
        return
    raise CannotStartError(f"{path} and its signature do not belong together: {fault}")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
