"""The rows of a search, read once, and the score of a candidate on them."""

import hashlib
import json
import warnings
from typing import Any

import numpy as np

from pipelines.config.candidates import Candidate
from pipelines.config.params import Params
from pipelines.model import features
from pipelines.model.inputs import inputs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import load_rows
from pipelines.tables.split import rows_on_side, split_boundaries
from pipelines.training import estimators
from pipelines.training.select import criterion

FEW_ROWS = 300


class Problem:
    """Training and validation rows as features; no other rows are read."""

    def __init__(self, params: Params) -> None:
        """Read the rows of prepared/, split as params.yaml says.

        Raises:
            InputError: if there are none, or they lack a column.
        """
        self.params = params
        table, inputs = read_rows(connect()), inputs_of(params)
        split = split_boundaries(table, params)
        train, self.validation = (
            load_rows(rows_on_side(table, params, split, side), params, inputs) for side in ("train", "validation")
        )
        graph = features.graph(params, features.vocabulary_of(params, train.inputs))
        self.target = train.target
        self.features = graph.transform(train.inputs)
        self.validation_features = graph.transform(self.validation.inputs).astype(np.float64)

    def score(self, name: str, candidate: Candidate) -> float:
        """Fit a candidate to the training rows, and return `selection.metric` on the validation rows.

        Raises:
            InputError: if it cannot be fitted.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning of each trial would bury the progress
            fitted = estimators.fit(name, candidate, self.features, self.target)
            scores = estimators.predict(fitted, self.validation_features, self.params.task)
        weighted = criterion(self.params, self.validation, scores)
        return float(weighted(np.ones((1, len(self.validation))))[self.params.selection.metric][0])

    def try_fit(self, name: str, candidate: Candidate) -> None:
        """Fit a candidate to a few training rows; raise InputError if that fails."""
        few = estimators.sample_rows(self.target, min(FEW_ROWS, len(self.target)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimators.fit(name, candidate, self.features[few], self.target[few])

    def identity(self, name: str) -> str:
        """Return 12 hexadecimal digits that change with the rows, the candidate, its space and the criterion."""
        params = self.params
        settings: dict[str, Any] = {
            "candidate": params.candidates[name].model_dump(mode="json"),
            "space": {key: space.model_dump() for key, space in params.search.spaces[name].items()},
            "selection": params.selection.model_dump(mode="json"),
            "value": params.value and params.value.model_dump(mode="json"),
            "seed": params.search.seed,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for part in (self.features, self.target, self.validation_features, self.validation.target):
            digest.update(part.tobytes())
        return digest.hexdigest()[:12]
