"""Set one value in the text of a params.yaml; comments and order stay."""

from collections.abc import Sequence
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.config.read import PATH


def with_value(text: str, path: Sequence[str], value: Any) -> str:
    """Return the text with another value at a path of keys and positions; what is missing of the path is added.

    Raises:
        InputError: if the value cannot be set without a change of others.
    """
    edited = _edit(text, path, value)
    if yaml.safe_load(edited) != _with(yaml.safe_load(text), path, value):
        raise InputError(f"{'.'.join(path)} cannot be set in {PATH}", f"Set it to {value} by hand, and run again.")
    return edited


def _edit(text: str, path: Sequence[str], value: Any) -> str:
    node: Any = yaml.compose(text, yaml.SafeLoader)
    for i, key in enumerate(path):
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(key)]
            continue
        following = next((item for name, item in node.value if name.value == key), None)
        if following is None:
            return _add(text, node, key, _with({}, path[i + 1 :], value))
        node = following
    before = text[: node.start_mark.index]
    blank = " " * before.endswith(":")  # for a key without a value
    return before + blank + _written(value) + text[node.end_mark.index :]


def _add(text: str, mapping: Any, key: str, value: Any) -> str:
    """Add a key as the first of a mapping."""
    entry = f"{key}: {_written(value)}"
    if not mapping.value:
        return text[: mapping.start_mark.index] + f"{{{entry}}}" + text[mapping.end_mark.index :]
    first = mapping.value[0][0].start_mark
    separator = ", " if mapping.flow_style else "\n" + " " * first.column
    return text[: first.index] + entry + separator + text[first.index :]


def _with(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return a copy of a document with another value at a path."""
    if not path:
        return value
    if isinstance(document, list):
        return [_with(item, path[1:], value) if i == int(path[0]) else item for i, item in enumerate(document)]
    return {**document, path[0]: _with(document.get(path[0], {}), path[1:], value)}


def _written(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).splitlines()[0]
