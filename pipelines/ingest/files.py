"""CSV and Parquet files at any fsspec URL, as rows in the types of the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files
from pipelines.config.table_schema import Table
from pipelines.ingest.cast import ARROW, lossless
from pipelines.ingest.source import Source, open_source, reaching
from pipelines.ingest.store import Rows


def read(spec: Files, table: Table, root: Path = Path()) -> Rows:
    """Rows of all files, one after another; a relative path starts at `root`.

    The files are read twice: first to learn which columns take the type of the schema without loss, then for the rows.
    A column that does not, in any file, stays as it is, so that validation can name it; so does a column that the
    schema does not know. A column that only some files have is null in the others.

    Raises:
        InputError: naming the file that is missing, empty, truncated or not what its name says.
        Unreachable: if a URL cannot be reached.
    """
    sources = [source for path in spec.paths for source in find(path, root)]
    sources = list({source.name: source for source in sources}.values())
    plans: dict[str, _Plan] = {}
    for source in sources:
        _learn(source, spec, table, plans)
    order = [name for name in table.columns if name in plans] + [name for name in plans if name not in table.columns]
    schema = pa.schema([(name, plans[name].type()) for name in order])
    return Rows(schema, _parts(sources, spec, table, schema))


@dataclass
class _Plan:
    """What is known of a column so far."""

    fits: bool  # every part so far takes the type of the schema
    cast: pa.DataType  # which is this one in Arrow
    own: list[pa.DataType] = field(default_factory=list)  # the types that the parts came with

    def type(self) -> pa.DataType:
        if self.fits:
            return self.cast
        types = [kind for kind in self.own if not pa.types.is_null(kind)]
        return types[0] if len(set(types)) == 1 else pa.string()


def _learn(source: Source, spec: Files, table: Table, plans: dict[str, _Plan]) -> None:
    rows = 0
    for part in _renamed(source, spec):
        rows += len(part)
        for name in part.column_names:
            column = part[name]
            known = table.columns.get(name)
            kind = known.type if known else None
            plan = plans.setdefault(name, _Plan(kind is not None, ARROW[kind] if kind else pa.null()))
            plan.own.append(column.type)
            if plan.fits and kind is not None:
                typed = lossless(column, kind)
                plan.fits = typed is not None
                if typed is not None and pa.types.is_timestamp(typed.type):
                    plan.cast = _finer(plan.cast, typed.type)
    if not rows:
        raise InputError(f"{source.name} holds no rows", "Replace the file, or take it out of ingest.paths.")


def _finer(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    units = ["s", "ms", "us"]
    return max(one, other, key=lambda time: units.index(time.unit))


def _parts(sources: list[Source], spec: Files, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    for source in sources:
        for part in _renamed(source, spec):
            columns = [_fitted(part, wanted, table, source.name) for wanted in schema]
            yield pa.table(columns, schema=schema)


def _fitted(part: pa.Table, wanted: pa.Field, table: Table, name: str) -> Any:
    if wanted.name not in part.column_names:
        return pa.nulls(len(part), wanted.type)
    column = part[wanted.name]
    known = table.columns.get(wanted.name)
    typed = lossless(column, known.type) if known else None
    try:
        return (column if typed is None or wanted.type == column.type else typed).cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{name}: column {wanted.name} is of another kind ({column.type}) than in the other files",
            "Give the column one type in all files.",
        ) from error


def _renamed(source: Source, spec: Files) -> Iterator[pa.Table]:
    """The parts of a file with the names of the schema."""
    for part in source.parts():
        absent = [name for name in spec.rename if name not in part.column_names]
        if absent:
            raise InputError(
                f"{source.name} has no column {', '.join(absent)}, which ingest.rename names",
                "Mend ingest.rename in params.yaml, or the file.",
            )
        names = [spec.rename.get(name, name) for name in part.column_names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"{source.name} has the column {', '.join(twice)} twice",
                "Mend the file's header, or ingest.rename in params.yaml.",
            )
        yield part.rename_columns(names)


def find(path: str, root: Path) -> list[Source]:
    """The files that a path, URL or pattern names, sorted."""
    import fsspec

    try:
        located = path if "://" in path else str(root / path)
        filesystem, inside = fsspec.core.url_to_fs(located)
    except (ValueError, ImportError) as error:
        raise InputError(f"ingest.paths: {path}: {error}", "Mend ingest.paths in params.yaml.") from error
    with reaching(path):
        # `isfile` would take a store that does not answer for a file that is not there; `info` says which.
        pattern = any(sign in inside for sign in "*?[")
        seen = filesystem.glob(inside, detail=True) if pattern else {inside: filesystem.info(inside)}
        found = sorted(name for name, info in seen.items() if info["type"] == "file")
    if not found:
        raise InputError(f"{path}: no such file", "Mend ingest.paths in params.yaml, or put the file there.")
    shown = (lambda name: name) if "://" not in path else filesystem.unstrip_protocol
    return [open_source(filesystem, name, str(shown(name))) for name in found]
