"""Read params.yaml, whole or only the sections that a class declares, and explain every invalid value."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipelines.cli.errors import InputError

PATH = Path("params.yaml")
Sections = TypeVar("Sections", bound=BaseModel)
# The keys that choose one of several forms of a section, with their values.
_CHOICES = {"kind": ("simulator", "files"), "by": ("time", "hash")}


class UniqueKeysLoader(yaml.SafeLoader):
    """A safe YAML loader that refuses a key given twice and a key that is not text (an unquoted NO is false)."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping after checking its keys."""
        nodes = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in nodes]
        for i, (key, at) in enumerate(zip(keys, nodes, strict=True)):
            line = f"line {at.start_mark.line + 1}"
            if not isinstance(key, str):
                raise yaml.YAMLError(f"{line}: the key {at.value} is not text: put it in quotes")
            if key in keys[:i]:
                raise yaml.YAMLError(f"{line}: the key {key} is given twice")
        return super().construct_mapping(node, deep)


def read_sections(cls: type[Sections], path: Path = PATH) -> Sections:
    """Read the sections that `cls` declares from params.yaml of the work tree.

    Other sections are not looked at, so a stage of dvc.yaml depends only on its own.

    Raises:
        InputError: if the file is missing or a value is invalid.
    """
    document = read_yaml(read_text(path), str(path))
    known = {field.alias or name for name, field in cls.model_fields.items()}
    return validate(cls, {key: value for key, value in document.items() if key in known}, str(path))


def read_text(path: Path = PATH) -> str:
    """The text of params.yaml of the work tree.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Run this in the root of the repository.") from error


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """The mapping of sections in the text of a params.yaml.

    Raises:
        InputError: if it is not YAML, not a mapping, or holds a date that DVC would refuse.
    """
    remedy = f"Fix {source}."
    try:
        document = yaml.load(text, UniqueKeysLoader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that does not exist
        raise InputError(f"{source} is not YAML: {error}", remedy) from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a mapping of sections", remedy)
    if unquoted := _dates(document):
        # DVC, which reads this file too, refuses YAML's own dates.
        raise InputError(f"{source}: {', '.join(unquoted)}: write the date in quotes", remedy)
    return document


def validate(cls: type[Sections], document: dict[str, Any], source: str) -> Sections:
    """Check a mapping of sections against a class.

    Raises:
        InputError: with one line for each invalid value: its path and what was expected.
    """
    try:
        # Through JSON: there a list is a tuple and a date a string, and all the rest stays strict.
        return cls.model_validate_json(json.dumps(document))
    except ValidationError as error:
        lines = ["  " + ": ".join(filter(None, [_path(item), _expected(item)])) for item in error.errors()]
        message = f"{source} has {len(lines)} error{'s' if len(lines) > 1 else ''}:\n" + "\n".join(lines)
        raise InputError(message, f"Fix {source}; `python -m pipelines schema` prints what it may hold.") from error


def _dates(value: Any, path: str = "") -> list[str]:
    """Paths of values that YAML read as a date."""
    if isinstance(value, date):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in _dates(item, f"{path}.{key}" if path else str(key))]


def _path(item: Any) -> str:
    """The place in the file; empty for an error between sections, whose message begins with the section."""
    parts = list(item["loc"])
    if parts[:1] in (["ingest"], ["split"]):
        del parts[1:2]  # pydantic puts the chosen form of the section there
    if item["type"].startswith("union_tag"):
        parts.append(item["ctx"]["discriminator"].strip("'"))
    return ".".join(str(part) for part in parts if part != "[key]")


def _expected(item: Any) -> str:
    """What was expected, followed by the value itself where it is a plain one."""
    kind, value = item["type"], item.get("input")
    message = str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    if kind.startswith("union_tag"):
        key = item["ctx"]["discriminator"].strip("'")
        message = f"expected {' or '.join(_CHOICES[key])}"
        return f"{message} (got {value[key]!r})" if key in value else f"is missing; {message}"
    if kind == "literal_error":
        message = f"expected {item['ctx']['expected']}"
    if kind == "string_type" and not isinstance(value, dict | list):
        message += ", so put it in quotes"
    return f"{message} (got {value!r})" if isinstance(value, str | int | float | bool) else message
