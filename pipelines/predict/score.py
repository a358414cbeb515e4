"""Score a table batch by batch, in bounded memory."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pipelines.cli.errors import InputError
from pipelines.model.scorer import Scorer
from pipelines.model.value_rules import CheckedBatch, check_batch, describe_rejection
from pipelines.tables.locations import Location
from pipelines.tables.prepared_source import PreparedSource, open_table
from pipelines.tables.reader import Source
from pipelines.tables.writer import TableWriter, parse_output, rejects_location, remove_file

REASON = "reason"


@dataclass
class ScoredTable:
    """How many rows were read and rejected, and where the rejected rows are."""

    rejects: str  # path or URL
    rows: int = 0
    rejected: int = 0
    rejections: Counter[str] = field(default_factory=Counter)  # rejected values of each field


def score_table(scorer: Scorer, input_name: str, output_name: str, history: str | None = None) -> ScoredTable:
    """Score every row of a table, and write the scored and the rejected rows (see the package).

    Raises:
        InputError: if the table cannot be read, lacks a column, or has a column with the name of an output.
        Unreachable: if a store does not respond, or a disk is full.
    """
    if scorer.signature.task == "classification" and scorer.signature.threshold is None:
        raise InputError("the signature has no threshold to decide by", "Restore it: `dvc checkout`, or `make review`.")
    out = parse_output(output_name, "OUT")
    rejects = rejects_location(out)
    source = open_table(input_name, scorer.signature, history)
    outputs = [pa.field("probability", pa.float64()), pa.field("decision", pa.bool_())]
    if scorer.signature.task == "regression":
        outputs = [pa.field("value", pa.float64())]
    _refuse_name_clashes(source, [output.name for output in outputs], out, rejects)
    result = ScoredTable(rejects.name)
    with (
        TableWriter(out, pa.schema([*source.schema, *outputs])) as scored,
        TableWriter(rejects, pa.schema([*source.schema, pa.field(REASON, pa.string())])) as rejected,
        _progress_bar() as progress,
    ):
        task = progress.add_task("scoring", total=source.rows)
        scored.write(pa.RecordBatch.from_pylist([], scored.schema))
        for batch in source.batches():
            checked = check_batch(batch, scorer.signature.inputs)
            scored.write(_score_accepted(scorer, batch, checked, scored.schema))
            if not checked.accepted.all():
                rejected.write(_explain_rejected(scorer, batch, checked, rejected.schema, result))
            result.rows += len(batch)
            progress.advance(task, len(batch))
        # OUT is committed last: where it exists, its rejects belong to it.
        scored.finish()
        if rejected.is_open:
            rejected.finish()
            rejected.commit()
        else:
            remove_file(rejects)
        scored.commit()
    return result


def _refuse_name_clashes(source: Source | PreparedSource, outputs: list[str], out: Location, rejects: Location) -> None:
    for name in (*outputs, REASON):
        if name in source.schema.names:
            raise InputError(
                f"IN has a column {name}, which is the name of a column to add", "Rename or drop the column of IN."
            )
    for written in (out, rejects):
        if any(file.is_same_file(written) for file in source.files):
            raise InputError(f"{written.name} would be written over IN", "Give OUT another name.")


def _score_accepted(scorer: Scorer, batch: Any, checked: CheckedBatch, schema: Any) -> Any:
    """Return the accepted rows with their outputs."""
    scores = scorer.score(checked.encoded)
    outputs = [pa.array(scores)]
    if scorer.signature.task == "classification":
        outputs.append(pa.array(scorer.decide(scores)))
    return pa.RecordBatch.from_arrays([*batch.filter(pa.array(checked.accepted)).columns, *outputs], schema=schema)


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


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f} rows, {task.speed or 0:,.0f} rows/s")


def _progress_bar() -> Progress:
    """Return a progress bar on stderr, which shows nothing if that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), _Speed(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
