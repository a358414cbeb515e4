"""Write files whole or not at all, in a form with small diffs in git: sorted keys, six digits, no times."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.cli.errors import Unreachable

DIGITS = 6


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that a kill or a full disk leaves the old file or none.

    Raises:
        Unreachable: if the disk is full or the folder cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = ""
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(
            f"{path} cannot be written: {reason}", "Free the disk or fix its permissions, and run again."
        ) from error
    finally:
        if temporary:  # also after an interruption
            with suppress(FileNotFoundError):
                Path(temporary).unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write JSON with sorted keys, numbers of six digits, and null for what is not a number."""
    write_text(path, json.dumps(rounded(document), indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a small CSV (a plot's points) with numbers of six digits."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([rounded(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def rounded(value: Any) -> Any:
    """A copy with floats at six significant digits; NaN and infinity become None."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if hasattr(value, "tolist"):
        return rounded(value.tolist())
    number = float(value)
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
