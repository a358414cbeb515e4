"""Make the key of a table that has none: a hash of each row, and how many equal rows came before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import Table
from pipelines.ingest.month_files import Rows

SEPARATOR = "\x1f"


def add_key(rows: Rows, table: Table) -> Rows:
    """Return the rows with the column `schema.key` in front.

    The label and its time are not in the hash, so that a corrected label keeps its key. The order of the columns in the
    source does not matter; a column that the schema gains gives all rows other keys.

    Raises:
        InputError: if the rows have such a column already.
    """
    if table.key in rows.schema.names:
        raise InputError(
            f"ingest.make_key would make {table.key}, which the table has",
            "Set ingest.make_key: false, or give schema.key another name.",
        )
    schema = rows.schema.insert(0, pa.field(table.key, pa.string()))
    return Rows(schema, _with_key(rows, table, schema))


def _with_key(rows: Rows, table: Table, schema: pa.Schema) -> Iterator[pa.Table]:
    hidden = {table.target, table.label_time}
    hashed = [name for name in table.columns if name in rows.schema.names and name not in hidden]
    counts: Counter[str] = Counter()
    for part in rows.parts:
        texts = [pc.fill_null(part[name].cast(pa.string()), SEPARATOR) for name in hashed]
        joined = pc.binary_join_element_wise(*texts, SEPARATOR)
        keys = []
        for text in joined.to_pylist():
            digest = blake2b(text.encode(), digest_size=8).hexdigest()
            keys.append(f"{digest}-{counts[digest]}")
            counts[digest] += 1
        yield pa.table([pa.array(keys, pa.string()), *part.columns], schema=schema)
