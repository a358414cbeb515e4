"""A table through the scorer, batch by batch, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from pipelines.cli.errors import InputError
from pipelines.model.row_checks import Rejection
from pipelines.model.scorer import Scorer
from pipelines.predict.check_rows import Checked, check, raw_values
from pipelines.tables.reader import Source, open_source
from pipelines.tables.urls import Place
from pipelines.tables.writer import Sink, rejects_of, remove, target

REASON = "reason"


@dataclass
class Done:
    """What became of the rows; `fields` counts the faults of each."""

    rejects: str
    rows: int = 0
    rejected: int = 0
    fields: Counter[str] = field(default_factory=Counter)


def score_table(scorer: Scorer, source_name: str, out_name: str) -> Done:
    """Score every row of a table; see the package for what is written.

    Raises:
        InputError: if the table cannot be read, lacks a column, or has one named as the answer.
        Unreachable: if a store does not answer, or a disk is full.
    """
    if scorer.signature.task == "classification" and scorer.signature.threshold is None:
        raise InputError("the signature has no threshold to decide by", "Restore it: `dvc checkout`, or `make review`.")
    out = target(out_name)
    rejects = rejects_of(out)
    source = open_source(source_name, scorer.signature.names)
    answers = _answers(scorer)
    _refuse_clashes(source, [answer.name for answer in answers], out, rejects)
    done = Done(rejects.name)
    with (
        Sink(out, _with(source.schema, answers)) as scored,
        Sink(rejects, _with(source.schema, [pa.field(REASON, pa.string())])) as rejected,
        _meter(source.rows) as advance,
    ):
        scored.write(pa.RecordBatch.from_pylist([], scored.schema))
        for batch in source.batches():
            checked = check(batch, scorer.signature.inputs)
            scored.write(_scored(scorer, batch, checked, scored.schema))
            if not checked.good.all():
                rejected.write(_rejected(scorer, batch, checked, rejected.schema, done))
            done.rows += len(batch)
            advance(len(batch))
        # OUT comes last: where it is, its rejects are right.
        scored.finish()
        if rejected.is_open:
            rejected.finish()
            rejected.commit()
        else:
            remove(rejects)
        scored.commit()
    return done


def _answers(scorer: Scorer) -> list[Any]:
    if scorer.signature.task == "regression":
        return [pa.field("value", pa.float64())]
    return [pa.field("probability", pa.float64()), pa.field("decision", pa.bool_())]


def _refuse_clashes(source: Source, answers: list[str], out: Place, rejects: Place) -> None:
    for name in (*answers, REASON):
        if name in source.schema.names:
            raise InputError(
                f"IN already has a column {name}, which is the name of one to be added", "Rename or drop it in IN."
            )
    for file in source.files:
        for written in (out, rejects):
            if file.is_same(written):
                raise InputError(f"{written.name} would be written over IN", "Give OUT another name.")


def _with(schema: Any, fields: list[Any]) -> Any:
    return pa.schema([*schema, *fields])


def _scored(scorer: Scorer, batch: Any, checked: Checked, schema: Any) -> Any:
    scores = scorer.score(checked.columns)
    answers = [pa.array(scores)]
    if scorer.signature.task == "classification":
        answers.append(pa.array(scorer.decide(scores)))
    return pa.RecordBatch.from_arrays([*batch.filter(pa.array(checked.good)).columns, *answers], schema=schema)


def _rejected(scorer: Scorer, batch: Any, checked: Checked, schema: Any, done: Done) -> Any:
    rows = batch.filter(pa.array(~checked.good))
    columns = [raw_values(item, rows.column(item.name)) for item in scorer.signature.inputs]
    reasons = []
    for values in zip(*columns, strict=True):
        found = scorer.check(dict(zip(scorer.signature.names, values, strict=True)))
        done.fields.update(fault.field for fault in found)
        reasons.append("; ".join(map(_said, found)))
    done.rejected += len(rows)
    return pa.RecordBatch.from_arrays([*rows.columns, pa.array(reasons, pa.string())], schema=schema)


def _said(fault: Rejection) -> str:
    return f"{fault.field}: {fault.reason}"


class _Advance(Protocol):
    def __call__(self, rows: int, /) -> None: ...


@contextmanager
def _meter(rows: int | None) -> Iterator[_Advance]:
    """Rows and rows a second on a terminal's stderr; nothing elsewhere."""
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
