"""Load the rows of an expression into memory, encoded for the scorer."""

from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import TableParams
from pipelines.model.encoding import encode
from pipelines.model.signature import Input
from pipelines.tables.data import target_value, to_numpy


class Rows:
    """Rows in memory: encoded inputs, the target, and all columns as an Arrow table."""

    def __init__(self, table: Any, inputs: tuple[Input, ...], target: npt.NDArray[np.float64]) -> None:
        """Encode an Arrow table; `target` is of shape (n,)."""
        self.arrow = table
        self.target = target
        self.inputs = {item.name: encode(item, to_numpy(table, item.name)) for item in inputs}

    def __len__(self) -> int:
        return len(self.target)


def load_rows(table: ir.Table, params: TableParams, inputs: tuple[Input, ...]) -> Rows:
    """Execute an expression over prepared/ and encode the inputs of the model.

    Raises:
        InputError: if a column that the model reads is not in the table.
    """
    missing = [item.name for item in inputs if item.name not in table.columns]
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}", "Add the column, or change features in params.yaml.")
    arrow = table.mutate(__target=target_value(table, params)).to_pyarrow()
    return Rows(arrow.drop(["__target"]), inputs, to_numpy(arrow, "__target"))
