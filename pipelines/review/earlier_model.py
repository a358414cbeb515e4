"""A model of an earlier commit, scored on the head's rows with the values of prepared columns that it learned from."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, Signature
from pipelines.review.own_columns import own_columns
from pipelines.tables.cast import has_type
from pipelines.tables.data import to_numpy
from pipelines.tables.rows import Rows


@dataclass(frozen=True)
class EarlierModel:
    """A model of an earlier commit.

    Attributes:
        own: key and prepared columns of the head's rows, as the function of the model's commit makes them; None if the
            head's function makes the same.
    """

    scorer: Scorer
    own: pa.Table | None = None

    @property
    def signature(self) -> Signature:
        """The model's signature."""
        return self.scorer.signature

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs that are read from the head's rows."""
        own = () if self.own is None else self.own.column_names
        return tuple(item for item in self.signature.inputs if item.name not in own)

    def score(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Score some of the head's rows, which hold these inputs; shape (n,)."""
        columns = dict(rows.inputs)
        if self.own is not None:
            key = self.own.column_names[0]
            values = self.own.take(pc.index_in(rows.arrow[key], self.own[key]))
            own = (item for item in self.signature.inputs if item not in self.inputs)
            columns |= {item.name: encode(item, to_numpy(values, item.name)) for item in own}
        return self.scorer.score(columns)


def comparable_model(table: ir.Table, params: Params, scorer: Scorer, commit: str) -> EarlierModel:
    """Return a model of an earlier commit that can be scored on the head's rows.

    Args:
        table: the head's rows.
        params: of the head.

    Raises:
        InputError: if it cannot, with the reason.
    """
    try:
        own = own_columns(commit, scorer.signature, params)
    except InputError as error:
        raise InputError(f"not comparable: prepared columns of commit {commit[:7]}: {error}", error.remedy) from error
    columns = dict(table.schema()) | ({} if own is None else dict(ibis.Schema.from_pyarrow(own.schema)))
    split = (scorer.signature.split or {}).get("column")
    if own is not None and split in own.column_names[1:]:  # the key, which is the first, is the same
        raise InputError(
            f"not comparable: column {split}, which tells the rows it was trained on, is made otherwise", ""
        )
    if why_not := not_comparable(ibis.schema(columns), scorer.signature, params.table.event_time):
        raise InputError(why_not, "")
    return EarlierModel(scorer, own)


def not_comparable(columns: ibis.Schema, signature: Signature, event_time: str | None) -> str | None:
    """Why a model cannot be scored on rows with these columns; None if it can.

    It needs its input columns, and the column that tells which rows it was trained on.

    Args:
        event_time: the column of event times.
    """
    for item in signature.inputs:
        if item.name not in columns:
            return f"not comparable: column {item.name}"
        column_type = columns[item.name]
        if not has_type(column_type, item.type, widened=True):
            return f"not comparable: column {item.name} is {column_type}; the base's model takes {item.type}"
    if signature.split is not None:
        return None if signature.split["column"] in columns else f"not comparable: column {signature.split['column']}"
    if signature.trained_until is not None and event_time is None:
        return (
            "not comparable: params.yaml has no schema.event_time, which tells the rows the base's model was trained on"
        )
    return None
