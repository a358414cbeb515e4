"""Section `ingest`: where the rows come from.

Each kind names in `source` the module whose `read_rows` returns the rows.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.config.base import Seed, Share, Strict


class _Ingest(Strict):
    """Of every kind.

    Attributes:
        until: the first day (UTC) that is not ingested; nor is a label that became known from then on.
    """

    until: date | None = None


class Simulator(_Ingest):
    """The default problem's card payments, made by examples/fraud: byte-identical for equal parameters and locks."""

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


class Files(_Ingest):
    """CSV or Parquet files: paths or fsspec URLs of files, folders, or patterns with wildcards."""

    source: ClassVar = "pipelines.ingest.files"

    kind: Literal["files"]
    paths: tuple[str, ...] = Field(min_length=1)
    rename: Mapping[str, str] = {}


Ingest = Annotated[Simulator | Files, Field(discriminator="kind")]
