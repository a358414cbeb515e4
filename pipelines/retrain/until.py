"""Set `ingest.until` in the text of a params.yaml, and change nothing else of it."""

from __future__ import annotations

from datetime import date

from pipelines.config.edit import with_value
from pipelines.config.params import parse


def set_until(text: str, until: date) -> str:
    """Return the text with another `ingest.until`, which is added if it is missing; comments stay as they are.

    Raises:
        InputError: if the text is not a valid params.yaml.
    """
    parse(text)
    changed = with_value(text, ("ingest", "until"), until.isoformat())
    parse(changed)
    return changed
