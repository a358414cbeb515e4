"""The values of a params.yaml of any commit, one by one and unchecked: another engine may have read other settings."""

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
    items = value if isinstance(value, dict) else dict(_estimators(value)) if isinstance(value, list) else {}
    for key, item in items.items():
        yield from _leaves(item, f"{path}.{key}" if path else str(key))
    if not items:
        yield path, json.dumps(value, default=str, ensure_ascii=False)


def _estimators(values: list[Any]) -> Iterator[tuple[str, Any]]:
    """The items of a list that holds estimators, each by its name if it stands before it, else by its place."""
    if not any(isinstance(value, dict) or _is_named(value) for value in values):
        return
    for i, value in enumerate(values):
        yield (value[0], value[1]) if _is_named(value) else (str(i), value)


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)
