"""Read tables in CSV, gzipped CSV and Parquet files, from paths and fsspec URLs, as Arrow record batches."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from pipelines.cli.errors import InputError, first_line
from pipelines.tables.locations import Location, NoFile, parse_location, store_errors

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
EXTENSIONS = (".parquet", ".csv", ".csv.gz")


def find_files(name: str, setting: str) -> list[Location]:
    """Return the CSV and Parquet files that a path or URL names, sorted by path.

    Args:
        name: a file, a pattern, or a folder. A folder is searched at any depth; files and folders that begin with `.`
            or `_` are ignored.
        setting: the argument or key that holds the name, for error messages.
    """
    location = parse_location(name, setting)
    filesystem, path = location.filesystem, location.path
    with store_errors(location):
        # `exists` returns False for a store that does not respond; `info` raises an error.
        is_pattern = any(sign in path for sign in "*?[") and not (location.is_local and filesystem.exists(path))
        if is_pattern:
            paths = [match for match, info in filesystem.glob(path, detail=True).items() if info["type"] == "file"]
        elif filesystem.info(path)["type"] == "directory":
            paths = [inner for inner in filesystem.find(path) if not _is_hidden(inner, path)]
        elif path.lower().endswith(EXTENSIONS):
            return [location]
        else:
            raise InputError(
                f"{name} is not the name of a CSV or Parquet file", f"{setting} must end in {', '.join(EXTENSIONS)}."
            )
    files = sorted(path for path in paths if path.lower().endswith(EXTENSIONS))
    if not files:
        raise NoFile(f"{name}: no CSV or Parquet file there", f"Correct {setting}, or put the files there.")
    return [Location(filesystem, p, p if location.is_local else filesystem.unstrip_protocol(p), setting) for p in files]


def _is_hidden(path: str, folder: str) -> bool:
    inside = PurePosixPath(path.removeprefix(folder).lstrip("/"))
    return any(part.startswith((".", "_")) for part in inside.parts)


def is_parquet(file: Location) -> bool:
    """Return whether a file is read as Parquet, which its name decides."""
    return file.path.lower().endswith(".parquet")


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written; not used for Parquet."""

    separator: str = ","
    encoding: str = "utf-8"


STANDARD = CsvFormat()


def read_header(file: Location, form: CsvFormat = STANDARD) -> tuple[Any, Any]:
    """Return the Arrow schema of a file (all columns of a CSV are text), and its number of rows if it states one."""
    with store_errors(file), file.filesystem.open(file.path, "rb", compression="infer") as binary:
        if is_parquet(file):
            parquet = pq.ParquetFile(binary)
            schema, rows = parquet.schema_arrow.remove_metadata(), parquet.metadata.num_rows
        else:
            schema, rows = pa.schema([(name, pa.string()) for name in _csv_header(file, binary, form)]), None
    if repeated := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InputError(f"{file.name} has the column {', '.join(repeated)} twice", "Correct the header of the file.")
    return schema, rows


def _csv_header(file: Location, binary: Any, form: CsvFormat) -> list[str]:
    if binary.read(4) == b"PAR1":
        raise InputError(f"{file.name} is a Parquet file with the name of a CSV file", "Rename it to .parquet.")
    binary.seek(0)
    encoding = "utf-8-sig" if codecs.lookup(form.encoding).name == "utf-8" else form.encoding
    with io.TextIOWrapper(binary, encoding=encoding, newline="") as text, _format_errors(file, form):
        names = next(csv.reader(text, delimiter=form.separator), [])
    if not names:
        raise InputError(f"{file.name} is empty: it has no header", f"Replace the file, or change {file.setting}.")
    return names


@contextmanager
def _format_errors(file: Location, form: CsvFormat) -> Iterator[None]:
    """Replace the error of a file in another encoding, or with another separator, by one that names the setting."""
    try:
        yield
    except (UnicodeError, pa.ArrowInvalid) as error:
        set_in_ingest = file.setting.startswith("ingest.")
        if isinstance(error, UnicodeError) or "invalid UTF8" in str(error):
            problem = f"is not written in {form.encoding}"
            remedy = "Set ingest.encoding (cp1252 and utf-16 are frequent), or write" if set_in_ingest else "Write"
            remedy += " the file in UTF-8."
        elif "columns, got" in str(error):
            problem = f"has rows of different lengths if {form.separator!r} separates their cells"
            remedy = "Set ingest.separator, or correct the row." if set_in_ingest else "Correct the row."
        else:
            raise
        raise InputError(f"{file.name} {problem}: {first_line(error)}", remedy) from error


def read_batches(file: Location, form: CsvFormat = STANDARD) -> Iterator[Any]:
    """Yield the rows of a file as record batches; an empty cell of a CSV is null."""
    schema, _ = read_header(file, form)
    with (
        store_errors(file),
        _format_errors(file, form),
        file.filesystem.open(file.path, "rb", compression="infer") as binary,
    ):
        if is_parquet(file):
            batches = pq.ParquetFile(binary).iter_batches(BATCH_ROWS)
        else:
            types = dict.fromkeys(schema.names, pa.string())
            batches = arrow_csv.open_csv(
                binary,
                arrow_csv.ReadOptions(block_size=BLOCK_BYTES, encoding=form.encoding),
                arrow_csv.ParseOptions(newlines_in_values=True, delimiter=form.separator),
                arrow_csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
            )
        for batch in batches:
            batch.validate(full=True)  # Arrow accepts invalid UTF-8 in Parquet
            yield batch.replace_schema_metadata(None)


@dataclass(frozen=True)
class Source:
    """A table in one or many files.

    Attributes:
        files: the files, in the order of the rows.
        forms: how each of them is written.
        schema: the columns of all files together; a column that a file lacks is null in its rows.
        rows: the number of rows, if all files state it.
    """

    files: tuple[Location, ...]
    forms: tuple[CsvFormat, ...]
    schema: Any
    rows: int | None

    def batches(self) -> Iterator[Any]:
        """Yield record batches of the schema, of at most BATCH_ROWS rows each."""
        for file, form in zip(self.files, self.forms, strict=True):
            for batch in read_batches(file, form):
                with store_errors(file):
                    parts = [self.schema.empty_table(), pa.Table.from_batches([batch])]
                    complete = pa.concat_tables(parts, promote_options="permissive")
                yield from filter(len, complete.to_batches(max_chunksize=BATCH_ROWS))


def open_source(name: str, setting: str, needed: Sequence[str], form: CsvFormat = STANDARD) -> Source:
    """Find the files of a table and read their headers.

    Args:
        needed: columns that every file must have.
        form: how a CSV file is written; one that then lacks a column is read as UTF-8 with commas.

    Raises:
        InputError: if a file lacks a column, or has other types than the others.
    """
    files = find_files(name, setting)
    return open_files(name, files, [form if _has_columns(file, form, needed) else STANDARD for file in files], needed)


def open_files(name: str, files: list[Location], forms: list[CsvFormat], needed: Sequence[str] = ()) -> Source:
    """Read the headers of the files of a table, each of which is written in its form: see `open_source`."""
    if len({is_parquet(file) for file in files}) > 1:
        raise InputError(f"{name} holds CSV and Parquet files", "Select one type by a pattern: folder/*.parquet.")
    headers = [read_header(file, form) for file, form in zip(files, forms, strict=True)]
    for file, (schema, _) in zip(files, headers, strict=True):
        if missing := [column for column in needed if column not in schema.names]:
            raise InputError(
                f"{file.name} lacks {', '.join(missing)}, which the model reads",
                "Add the column; it may be empty where the schema allows missing values.",
            )
    try:
        schema = pa.unify_schemas([schema for schema, _ in headers], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"the files of {name} have different columns: {first_line(error)}",
            "Give each column one type in all files.",
        ) from error
    # The files are all CSV, without counts, or all Parquet, with counts.
    rows = sum(count for _, count in headers) if is_parquet(files[0]) else None
    return Source(tuple(files), tuple(forms), schema, rows)


def _has_columns(file: Location, form: CsvFormat, needed: Sequence[str]) -> bool:
    if form == STANDARD:
        return False
    try:
        return set(needed) <= set(read_header(file, form)[0].names)
    except InputError:
        return False
