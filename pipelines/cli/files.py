"""Write files whole or not at all, in a form with small diffs in git: sorted keys, six digits, no times."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.cli.errors import unwritable_disk

DIGITS = 6


def write_bytes(path: Path, content: bytes) -> None:
    """Write in a temporary folder beside `path` and rename, so that a kill or a full disk leaves the old file or none.

    Raises:
        Unreachable: if the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
    except OSError as error:
        raise unwritable_disk(f"{path} cannot be written: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write JSON with sorted keys, numbers of six digits, and null for what is not a number."""
    write_text(path, json.dumps(rounded(document), indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a small CSV (a plot's points) with numbers of six digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([rounded(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def rounded(value: Any) -> Any:
    """Return a copy with floats at six significant digits; NaN and infinity become None."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if hasattr(value, "tolist"):
        return rounded(value.tolist())
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
