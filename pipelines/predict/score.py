"""Score a table batch by batch, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from pipelines.cli.errors import InputError
from pipelines.model.row_checks import describe_rejection
from pipelines.model.scorer import Scorer
from pipelines.model.value_rules import CheckedBatch, check_batch
from pipelines.tables.locations import Location
from pipelines.tables.reader import Source, open_source
from pipelines.tables.writer import TableWriter, parse_output, rejects_location, remove_file

REASON = "reason"


@dataclass
class ScoredTable:
    """What became of the rows of a table.

    Attributes:
        rejects: path or URL of the rejected rows.
        rows: number of rows read.
        rejected: number of rows rejected.
        rejections: rejected values of each field.
    """

    rejects: str
    rows: int = 0
    rejected: int = 0
    rejections: Counter[str] = field(default_factory=Counter)


def score_table(scorer: Scorer, input_name: str, output_name: str) -> ScoredTable:
    """Score every row of a table, and write the scored and the rejected rows (see the package).

    Raises:
        InputError: if the table cannot be read, lacks a column, or has a column with the name of an answer.
        Unreachable: if a store does not answer, or a disk is full.
    """
    if scorer.signature.task == "classification" and scorer.signature.threshold is None:
        raise InputError("the signature has no threshold to decide by", "Restore it: `dvc checkout`, or `make review`.")
    out = parse_output(output_name, "OUT")
    rejects = rejects_location(out)
    source = open_source(input_name, "IN", scorer.signature.names)
    answers = _answer_columns(scorer)
    _refuse_name_clashes(source, [answer.name for answer in answers], out, rejects)
    result = ScoredTable(rejects.name)
    with (
        TableWriter(out, pa.schema([*source.schema, *answers])) as scored,
        TableWriter(rejects, pa.schema([*source.schema, pa.field(REASON, pa.string())])) as rejected,
        _progress_bar(source.rows) as advance,
    ):
        scored.write(pa.RecordBatch.from_pylist([], scored.schema))
        for batch in source.batches():
            checked = check_batch(batch, scorer.signature.inputs)
            scored.write(_score_accepted(scorer, batch, checked, scored.schema))
            if not checked.accepted.all():
                rejected.write(_explain_rejected(scorer, batch, checked, rejected.schema, result))
            result.rows += len(batch)
            advance(len(batch))
        # OUT is committed last: where it exists, its rejects belong to it.
        scored.finish()
        if rejected.is_open:
            rejected.finish()
            rejected.commit()
        else:
            remove_file(rejects)
        scored.commit()
    return result


def _answer_columns(scorer: Scorer) -> list[Any]:
    if scorer.signature.task == "regression":
        return [pa.field("value", pa.float64())]
    return [pa.field("probability", pa.float64()), pa.field("decision", pa.bool_())]


def _refuse_name_clashes(source: Source, answers: list[str], out: Location, rejects: Location) -> None:
    for name in (*answers, REASON):
        if name in source.schema.names:
            raise InputError(
                f"IN has a column {name}, which is the name of a column to add", "Rename or drop the column of IN."
            )
    for file in source.files:
        for written in (out, rejects):
            if file.is_same_file(written):
                raise InputError(f"{written.name} would be written over IN", "Give OUT another name.")


def _score_accepted(scorer: Scorer, batch: Any, checked: CheckedBatch, schema: Any) -> Any:
    """Return the accepted rows with their answers."""
    scores = scorer.score(checked.encoded)
    answers = [pa.array(scores)]
    if scorer.signature.task == "classification":
        answers.append(pa.array(scorer.decide(scores)))
    return pa.RecordBatch.from_arrays([*batch.filter(pa.array(checked.accepted)).columns, *answers], schema=schema)


def _explain_rejected(scorer: Scorer, batch: Any, checked: CheckedBatch, schema: Any, result: ScoredTable) -> Any:
    """Return the rejected rows with the reasons, and count them in the result."""
    reasons: dict[int, list[str]] = {int(row): [] for row in np.flatnonzero(~checked.accepted)}
    for item in scorer.signature.inputs:
        column, values = checked.columns[item.name], batch.column(item.name)
        rejected = np.flatnonzero(~column.accepted)
        for row in rejected:
            rejection = describe_rejection(item, bool(column.missing[row]), _to_python(values[int(row)]))
            reasons[int(row)].append(f"{rejection.field}: {rejection.reason}")
        result.rejections[item.name] += len(rejected)
    result.rejected += len(reasons)
    texts = pa.array(["; ".join(parts) for parts in reasons.values()], pa.string())
    return pa.RecordBatch.from_arrays([*batch.filter(pa.array(~checked.accepted)).columns, texts], schema=schema)


def _to_python(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):  # a time that Python's own cannot hold
        return cell


class _Advance(Protocol):
    def __call__(self, rows: int, /) -> None: ...


@contextmanager
def _progress_bar(rows: int | None) -> Iterator[_Advance]:
    """Show rows and rows per second on stderr if it is a terminal; otherwise nothing."""
    import sys

    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} rows/s")

    with Progress(
        TextColumn("scoring"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("scoring", total=rows)
        yield lambda rows: progress.advance(task, rows)
