"""Read a table without a description: encoding and separator are found, and every row goes into DuckDB."""

import codecs
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import duckdb
import pyarrow as pa

from pipelines.cli.errors import InputError, first_line
from pipelines.tables.locations import Location, store_errors
from pipelines.tables.query import read_query
from pipelines.tables.reader import STANDARD, CsvFormat, find_files, is_parquet, open_files, read_header

SNIFFED = 4 << 20  # bytes of the first file that decide the separator
BLOCK = 1 << 20
SETTING = "TABLE"
RAW = "raw"
ROW = "mainline_row"  # the column of RAW that numbers the rows; DuckDB's own `rowid` may be a column of the table


@dataclass(frozen=True)
class Source:
    """A table in DuckDB, with its rows in their order.

    Attributes:
        ingest: settings of the section `ingest` that read it again.
        decided: what was found out, in sentences.
    """

    connection: duckdb.DuckDBPyConnection
    ingest: dict[str, Any]
    decided: list[str] = field(default_factory=list)


def one_row(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
    """Return the first row of a query that has one."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row


def quoted(name: str) -> str:
    """Return a name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL quotes it."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Return texts as SQL lists them."""
    return f"({', '.join(map(literal, texts))})"


def read_source(name: str, query: str | None, root: Path) -> Source:
    """Read a file, folder, pattern, URL, or the rows of a query.

    Raises:
        InputError: if there is no such table, or it cannot be read.
        Unreachable: if a store or database does not respond.
    """
    connection = duckdb.connect(config={"memory_limit": "2GB"})
    connection.execute("SET TimeZone = 'UTC'")  # as ingest reads times with an offset
    if name.startswith(("sqlite:///", "postgres://", "postgresql://")):
        if not query:
            raise InputError(f"TABLE={_public(name)} needs a query", 'Add QUERY="SELECT ... FROM ...".')
        url = _take_password(name)
        tables = list(read_query(url, query, root))
        _create(connection, tables[0].schema, (batch for table in tables for batch in table.to_batches()))
        return Source(connection, {"kind": "sql", "url": url, "query": query}, ["read the rows of the query, as texts"])
    parts = urlsplit(name)
    if parts.scheme in ("http", "https") and ("@" in parts.netloc or parts.query):
        raise InputError(
            f"TABLE={_public(name)} has a user, a password or a query, which params.yaml would keep and reports print",
            "Download the file, and name it: TABLE=path.",
        )
    path = name if "://" in name else path_inside(name, root) or str(_whole(name))
    ingest: dict[str, Any] = {"kind": "files", "paths": [path]}
    form, decided = STANDARD, []
    files = find_files(name if "://" in name else str(Path(name).absolute()), SETTING)
    if not is_parquet(files[0]):
        form = _csv_format(files[0])
        decided.append(f"the cells are separated by {form.separator!r}, the text is {form.encoding}")
        ingest |= {key: value for key, value in asdict(form).items() if value != asdict(STANDARD)[key]}
    table = open_files(name, files, [form] * len(files))
    for file in files[1:]:
        header = read_header(file, form)[0].names
        if len(table.schema) > len(header) == 1 and any(sign in header[0] for sign in ",;\t|"):
            raise InputError(
                f"{file.name} is separated otherwise than {files[0].name}", "Give all files one separator."
            )
    _create(connection, table.schema, table.batches())
    return Source(connection, ingest, decided)


def _public(url: str) -> str:
    """Return the URL without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.hostname or "", query=""))


def _take_password(url: str) -> str:
    """Return the URL without its password, which goes to PGPASSWORD of this process and those that it starts."""
    url = url.replace("postgres://", "postgresql://", 1)
    parts = urlsplit(url)
    if parts.password is None:
        return url
    os.environ["PGPASSWORD"] = unquote(parts.password)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}"))


def path_inside(name: str, root: Path) -> str | None:
    """Return the path of a table below the root; None if it lies elsewhere."""
    path, top = _whole(name), root.resolve()
    return str(path.relative_to(top)) if path.is_relative_to(top) else None


def _whole(name: str) -> Path:
    """Return the whole path, without `..`; a table that is a link keeps its own name."""
    path = Path(name)
    return path.parent.resolve() / path.name


def _create(connection: duckdb.DuckDBPyConnection, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    raised: list[BaseException] = []
    numbered = pa.schema([(ROW, pa.int64()), *schema])
    counts = Counter(name.lower() for name in numbered.names)
    if equal := [name for name in numbered.names if counts[name.lower()] > 1]:
        raise InputError(
            f"the table has columns of the same name, where the case does not count: {', '.join(equal)}",
            "Rename one of them in the table.",
        )

    def watched() -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            for batch in batches:
                numbers = pa.array(range(rows + 1, rows + len(batch) + 1), pa.int64())
                yield pa.record_batch([numbers, *batch.columns], numbered)
                rows += len(batch)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        connection.register("arriving", pa.RecordBatchReader.from_batches(numbered, watched()))
    except duckdb.NotImplementedException as error:
        types = ", ".join(f"{column.name} ({column.type})" for column in schema if column.type != pa.string())
        raise InputError(
            f"DuckDB cannot read the type of a column, one of {types}: {first_line(error)}",
            "Write another type, such as float32 for float16, or leave the column out.",
        ) from error
    try:
        connection.execute(f"CREATE TABLE {RAW} AS SELECT * FROM arriving")
    except (duckdb.Error, RuntimeError):
        if raised:  # DuckDB makes an error of its own of it
            raise raised[0] from None
        raise
    connection.unregister("arriving")
    if not one_row(connection, f"SELECT count(*) FROM {RAW}")[0]:
        raise InputError("the table holds no rows", "Name another one: TABLE=path.")


def _csv_format(file: Location) -> CsvFormat:
    encoding = _encoding(file)
    with store_errors(file), file.filesystem.open(file.path, "rb", compression="infer") as binary:
        sample = codecs.getincrementaldecoder(encoding)(errors="ignore").decode(binary.read(SNIFFED))
    header = sample.lstrip("\ufeff").splitlines()[:1] or [""]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.csv"
        # The last line may be cut.
        path.write_text(sample[: sample.rfind("\n") + 1] or sample, encoding="utf-8")
        try:
            found = duckdb.execute("SELECT Delimiter FROM sniff_csv(?)", [str(path)]).fetchone()
        except duckdb.Error:
            found = None
    separator = str(found[0]) if found else ""
    # DuckDB names none where rows differ in length, and one that the header does not have for a table of one column.
    if not separator or separator not in header[0]:
        separator = max(",;\t|", key=header[0].count)
    return CsvFormat(separator, encoding)


def _encoding(file: Location) -> str:
    """Return utf-8 if all bytes are that; else utf-16, which has a mark; else cp1252 or latin-1."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with store_errors(file), file.filesystem.open(file.path, "rb", compression="infer") as binary:
        first = binary.read(BLOCK)
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        block = first
        try:
            while block:
                decoder.decode(block)
                block = binary.read(BLOCK)
        except UnicodeDecodeError:
            # Five bytes have no meaning in cp1252.
            return "latin-1" if any(byte in first for byte in b"\x81\x8d\x8f\x90\x9d") else "cp1252"
        return "utf-8"
