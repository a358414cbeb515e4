"""What each row costs, by the section `value` of params.yaml."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.selection import Cost, Value
from pipelines.tables.data import to_numpy


def costs_of(arrow: Any, target: npt.NDArray[np.float64], value: Value | None) -> npt.NDArray[np.float64] | None:
    """Costs of shape (n, 2): of a row that is not predicted positive, and of one that is; None without a section.

    Args:
        arrow: the rows, with the columns that `value` names.
        target: shape (n,), 0 and 1.
    """
    if value is None:
        return None

    def column(cost: Cost) -> Any:
        return to_numpy(arrow, cost).astype(np.float64) if isinstance(cost, str) else cost

    positive = target == 1
    negative_decision = np.where(positive, column(value.false_negative), column(value.true_negative))
    positive_decision = np.where(positive, column(value.true_positive), column(value.false_positive))
    return np.stack([negative_decision, positive_decision], axis=1)
