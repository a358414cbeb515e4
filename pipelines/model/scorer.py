"""Score rows with models/model.onnx and models/signature.json.

Evaluation, comparison, critical cases and batch scoring all use this scorer. It can score any earlier model without the
code that trained it.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.cli.errors import InputError
from pipelines.model.encoding import Columns, cell_encoder
from pipelines.model.signature import GRAPH_TYPES, Signature, load_signature
from pipelines.model.value_rules import Rejection, check_value

BATCH_ROWS = 100_000


class Scorer:
    """A loaded model.

    Attributes:
        signature: the inputs and the output of the model.
    """

    def __init__(self, model: Path, signature: Path | Signature, threads: int = 0) -> None:
        """Load a model and its signature.

        Args:
            signature: its file, or its content for a candidate, which has no file yet.
            threads: threads for one batch; 0 uses all cores, 1 is best for single rows.

        Raises:
            InputError: if a file is missing, corrupt, or does not fit the other one.
        """
        self.signature = load_signature(signature) if isinstance(signature, Path) else signature
        self._model = model
        self._session = _session(model, threads)
        self._check_fit(model)
        self._cells = [(item.name, cell_encoder(item)) for item in self.signature.inputs]
        self._outputs = [self.signature.output]

    def _check_fit(self, model: Path) -> None:
        """Raise InputError if the inputs or the output of the graph are not those of the signature."""
        graph = {f"{item.name}: {item.type}" for item in self._session.get_inputs()}
        described = {f"{item.name}: {GRAPH_TYPES[item.type]}" for item in self.signature.inputs}
        graph |= {f"{item.name} (output)" for item in self._session.get_outputs()}
        described |= {f"{self.signature.output} (output)"}
        if difference := ", ".join(sorted(graph ^ described)):
            raise InputError(
                f"{model} and its signature do not belong together: only one of them has {difference}",
                "Fetch both from the same commit: `make review`, or `dvc checkout`.",
            )

    def score(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Score encoded columns.

        Args:
            columns: an array of shape (n,) for each raw field, as `encode` returns it; others are ignored.

        Returns:
            Probabilities of the positive class, or values, of shape (n,).

        Raises:
            InputError: if a score is NaN or infinite.
        """
        names = self.signature.names
        scores = np.empty(len(columns[names[0]]))
        for start in range(0, len(scores), BATCH_ROWS):
            batch = slice(start, start + BATCH_ROWS)
            (output,) = self._session.run(self._outputs, {name: columns[name][batch, None] for name in names})
            scores[batch] = output[:, 0]
        if count := len(scores) - int(np.isfinite(scores).sum()):
            raise self._not_finite(count, len(scores))
        return scores

    def score_row(self, row: Mapping[str, Any]) -> float:
        """Score one row of raw values, which `check` accepts; it is not checked again.

        Raises:
            InputError: if the score is NaN or infinite.
        """
        (output,) = self._session.run(self._outputs, {name: cell(row.get(name)) for name, cell in self._cells})
        score = float(output[0, 0])
        if not isfinite(score):
            raise self._not_finite(1, 1)
        return score

    def _not_finite(self, count: int, rows: int) -> InputError:
        return InputError(
            f"{self._model} gives {count:,} of {rows:,} rows a score that is not a finite number",
            "Impute missing values or use another estimator in candidates of params.yaml, and train again.",
        )

    def check(self, row: Mapping[str, Any]) -> list[Rejection]:
        """Return why one row of raw values cannot be scored; empty if it can."""
        checked = (check_value(item, row.get(item.name)) for item in self.signature.inputs)
        return [rejection for rejection in checked if rejection]

    def decide(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return decisions of shape (n,): whether the probability reaches the threshold."""
        assert self.signature.threshold is not None, "a regression has no threshold"
        return scores >= self.signature.threshold


def _session(model: Path, threads: int) -> Any:
    import onnxruntime

    if not model.is_file():
        raise InputError(f"{model} is missing", "Reproduce the pipeline: `make review`.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core to others
    options.log_severity_level = 4  # the exception below reports errors
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class for each error, with no common base
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"{model} is not a readable model: {reason}", "Restore it: `dvc checkout --force`.") from error
