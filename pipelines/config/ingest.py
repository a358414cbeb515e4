"""Section `ingest`: where the rows come from.

Each kind names in `source` the module whose `read_rows` returns the rows.
"""

import codecs
from collections.abc import Mapping
from datetime import date
from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field

from pipelines.config.base import Seed, Share, Strict


def _check_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise ValueError("expected an encoding that Python knows, such as utf-8, cp1252 or utf-16") from error
    return name


def check_no_password(url: str) -> str:
    """Return the URL of a database; raise ValueError, without the URL, if it holds a password."""
    parts = urlsplit(url)
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise ValueError("holds a password, which git would keep: remove it, and set PGPASSWORD")
    return url


class _Ingest(Strict):
    """Of every kind.

    Attributes:
        until: the first day (UTC) that is not ingested; nor is a label that became known from then on.
    """

    until: date | None = None


class Simulator(_Ingest):
    """The default problem's card payments, made by examples/fraud: byte-identical for equal parameters and locks.

    Attributes:
        kind: where the rows come from.
        seed: of the random numbers.
        start: the first day.
        days: how many days are simulated.
        payments: how many rows are simulated.
        customers: how many customers pay.
        merchants: how many merchants are paid.
        fraud_rate: the share of frauds.
        missing_rate: the share of missing values of nullable columns.
        drift_from: from this day on amounts rise, and more is bought online and abroad.
        fraud_change_from: from this day on fraudsters imitate their victims.
    """

    source: ClassVar = "examples.fraud.simulator"

    kind: Literal["simulator"]
    seed: Seed
    start: date
    days: Annotated[int, Field(ge=30, le=1000)]
    payments: Annotated[int, Field(ge=500)]
    customers: Annotated[int, Field(ge=50)]
    merchants: Annotated[int, Field(ge=50)]
    fraud_rate: Annotated[float, Field(gt=0, lt=0.5)]
    missing_rate: Share
    drift_from: date | None = None
    fraud_change_from: date | None = None


class _Table(_Ingest):
    """Of every kind whose rows come from outside.

    Attributes:
        rename: name in the source -> name in the schema.
        drop: columns of the source that are left out.
        missing: cells that mean a missing value, in every column of texts; an empty cell always does.
        decimal: the sign between a number and its decimals.
        dates: column of the schema -> format of its times (`%d.%m.%Y %H:%M`); without one they are ISO 8601.
        make_key: make `schema.key`, which the source lacks: `hash` of each row without its label, or `row_number`,
            which needs rows in a fixed order, to which new ones are only appended.
    """

    source: ClassVar = "pipelines.ingest.sources"

    rename: Mapping[str, str] = {}
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    dates: Mapping[str, Annotated[str, Field(pattern="%")]] = {}
    make_key: Literal["hash", "row_number"] | None = None


class Files(_Table):
    """CSV or Parquet files: paths or fsspec URLs of files, folders, or patterns with wildcards.

    Attributes:
        kind: where the rows come from.
        paths: such as `["s3://bucket/orders/*.parquet", "more/"]`.
        separator: between the cells of a CSV file.
        encoding: of a CSV file, by the name that Python has for it.
    """

    kind: Literal["files"]
    paths: tuple[str, ...] = Field(min_length=1)
    separator: Annotated[str, Field(pattern=r"^[^\"\r\n]$")] = ","
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"


class Sql(_Table):
    """The rows of a query. A password is never here: PostgreSQL's driver reads PGPASSWORD, or ~/.pgpass.

    Attributes:
        kind: where the rows come from.
        url: `sqlite:///file.db`, or `postgresql://user@host/database`.
        query: a SELECT; with an ORDER BY, equal tables give equal bytes.
    """

    kind: Literal["sql"]
    url: Annotated[str, Field(pattern="^(sqlite:///|postgresql://)"), AfterValidator(check_no_password)]
    query: str


Ingest = Annotated[Simulator | Files | Sql, Field(discriminator="kind")]
