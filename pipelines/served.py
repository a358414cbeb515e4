"""serving.json, by which a service knows the release that it is, and its limits."""

from __future__ import annotations

import json

from pipelines import config


def text(release: str, serving: config.Serving) -> str:
    """The text of serving.json."""
    limits = serving.model_dump(include={"max_batch_rows", "max_body_mb", "timeout_seconds"})
    return json.dumps({"release": release, **limits}, indent=2) + "\n"
