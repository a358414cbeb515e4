"""Set `ingest.until` in the text of a params.yaml, and change nothing else of it."""

from __future__ import annotations

from datetime import date
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import parse


def set_until(text: str, until: date) -> str:
    """Return the text with another `ingest.until`, which is added if it is missing; comments stay as they are.

    Raises:
        InputError: if the text is not a valid params.yaml.
    """
    parse(text)
    quoted = f'"{until.isoformat()}"'
    document: Any = yaml.compose(text, yaml.SafeLoader)
    section = next(value for key, value in document.value if key.value == "ingest")
    for key, value in section.value:
        if key.value == "until":
            before = text[: value.start_mark.index]
            blank = " " * before.endswith(":")  # for a key without a value
            return _require(until, before + blank + quoted + text[value.end_mark.index :])
    first = section.value[0][0].start_mark
    separator = ", " if section.flow_style else "\n" + " " * first.column
    return _require(until, text[: first.index] + f"until: {quoted}{separator}" + text[first.index :])


def _require(until: date, text: str) -> str:
    if parse(text).ingest.until != until:
        raise InputError("ingest.until cannot be set in params.yaml", "Set it by hand, and run again.")
    return text
