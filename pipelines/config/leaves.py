"""The values of a params.yaml of any commit, one by one and unchecked: another engine may have read other settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml


def leaves(text: str | None) -> Iterator[tuple[str, str]]:
    """Path and value, as JSON, of every leaf of a params.yaml; nothing if there is no text."""
    return _leaves(_load(text))


def _load(text: str | None) -> Any:
    try:
        return yaml.load(text or "", yaml.CSafeLoader) or {}
    except (yaml.YAMLError, ValueError):
        return {}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, default=str, ensure_ascii=False)
