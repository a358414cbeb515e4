"""The one scorer: models/model.onnx and models/signature.json in, probabilities or values out.

Evaluation, comparison, critical cases and batch scoring all go through this file, so it needs only NumPy and
ONNX Runtime, and can score any model of the past without the code that trained it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.cli.errors import InputError
from pipelines.model.encoding import Columns, cell_encoder
from pipelines.model.row_checks import Rejection, check_value
from pipelines.model.signature import GRAPH_TYPES, Signature, load_signature

BATCH_ROWS = 100_000


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
        self._cells = [(item.name, cell_encoder(item)) for item in self.signature.inputs]
        self._outputs = [self.signature.output]

    def _check_pair(self, model: Path) -> None:
        """Refuse a graph whose inputs or answer are not those of the signature."""
        takes = {f"{item.name}: {item.type}" for item in self._session.get_inputs()}
        named = {f"{item.name}: {GRAPH_TYPES[item.type]}" for item in self.signature.inputs}
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
        return [found for item in self.signature.inputs if (found := check_value(item, row.get(item.name)))]

    def decide(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Decisions of shape (n,): whether the probability reaches the threshold."""
        assert self.signature.threshold is not None, "a regression decides nothing"
        return scores >= self.signature.threshold


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
