"""Loads models/model.onnx and scores rows with ONNX Runtime."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from serving import signature
from serving.errors import CannotStartError, RequestError
from serving.rows import Columns, Row, RowReader

_DTYPES: dict[str, Any] = {
    "number": np.float32,
    "integer": np.float32,
    "boolean": np.float32,
    "category": object,
    "timestamp": np.int64,
}


class Model:
    """A loaded model; one thread scores a batch.

    Attributes:
        signature: its inputs and output.
        md5: of model.onnx, as in dvc.lock.
    """

    def __init__(self, folder: Path) -> None:
        """Load model.onnx and signature.json of a folder.

        Raises:
            CannotStartError: if a file is missing or corrupt, if the two do not fit each other, or if the graph does
                not score the signature's example.
        """
        path = folder / "model.onnx"
        self.signature = signature.load(folder / "signature.json")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CannotStartError(f"{path} cannot be read: {error.strerror}") from error
        self.md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self._session = _create_session(path, content)
        self._outputs = [self.signature.output]
        self._dtypes = [(field.name, _DTYPES[field.type]) for field in self.signature.inputs]
        self._cells = {name: np.empty((1, 1), dtype) for name, dtype in self._dtypes}
        self._arrays = list(self._cells.values())
        self._check_pair(path)

    def score_row(self, row: Row) -> float:
        """Return the probability of the positive class, or the value, of an encoded row. Not thread-safe."""
        for array, value in zip(self._arrays, row, strict=True):
            array[0, 0] = value
        (output,) = self._session.run(self._outputs, self._cells)
        return float(output[0, 0])

    def score(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Return the probabilities of the positive class, or the values, of encoded columns: shape (rows,)."""
        return np.asarray(self._run(columns), dtype=np.float64).reshape(-1)

    def _run(self, columns: Columns) -> Any:
        feed = {
            name: np.array(column, dtype=dtype)[:, None]
            for (name, dtype), column in zip(self._dtypes, columns, strict=True)
        }
        (output,) = self._session.run(self._outputs, feed)
        return output

    def _check_pair(self, path: Path) -> None:
        """Score the signature's example, to find a graph with other inputs or another output than the signature's."""
        example = self.signature.example
        try:
            row = RowReader(self.signature, 1).read_row(msgspec.json.encode(example))
        except RequestError:  # no example, or a number that the file rounded beyond its range
            example, row = {}, ["" if field.is_text else 0 for field in self.signature.inputs]
        for rows in (1, 2):
            try:
                output = np.asarray(self._run([[value] * rows for value in row]), dtype=np.float64)
            except Exception as error:  # ONNX Runtime has an exception class for each kind of error
                problem = _first_line(error)
            else:
                if output.shape == (rows, 1) and (not example or np.isfinite(output).all()):
                    continue
                problem = f"its output is {str(output.tolist())[:100]}"
            raise CannotStartError(f"{path} does not fit its signature: scoring an example {rows} times: {problem}")


def _create_session(path: Path, content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are reported by the exception below
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class for each kind of error
        raise CannotStartError(f"{path} is not a readable model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
