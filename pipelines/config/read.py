"""Read params.yaml, whole or only the sections that a class declares, and explain every invalid value."""

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipelines.cli.errors import InputError

PATH = Path("params.yaml")
Sections = TypeVar("Sections", bound=BaseModel)


class UniqueKeysLoader(yaml.CSafeLoader):
    """A safe YAML loader that refuses a repeated key and a key that is not text (an unquoted NO is false)."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping after checking its keys."""
        nodes = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in nodes]
        for i, (key, key_node) in enumerate(zip(keys, nodes, strict=True)):
            if not isinstance(key, str):
                _refuse_as_no_text(self, key_node)
            if key in keys[:i]:
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: the key {key} is given twice")
        return super().construct_mapping(node, deep)


def _refuse_as_no_text(_: yaml.CSafeLoader, node: Any) -> None:
    raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {node.value} is not text: put it in quotes")


class _ParamsLoader(UniqueKeysLoader):
    """Also refuses dates, as DVC does, which reads params.yaml too."""


_ParamsLoader.add_constructor("tag:yaml.org,2002:timestamp", _refuse_as_no_text)


def read_sections(cls: type[Sections], path: Path = PATH) -> Sections:
    """Read the sections that `cls` declares from params.yaml; raise InputError if one is invalid.

    Other sections are ignored, so a stage of dvc.yaml depends only on its own.
    """
    document = read_yaml(read_text(path), str(path))
    declared = {field.alias or name for name, field in cls.model_fields.items()}
    return validate(cls, {key: value for key, value in document.items() if key in declared}, str(path))


def read_text(path: Path = PATH) -> str:
    """Return the text of params.yaml of the work tree; raise InputError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Run this in the root of the repository.") from error


def read_yaml(text: str, source: str) -> dict[str, Any]:
    """Return the sections in the text of a params.yaml; raise InputError if it is not YAML or not a mapping."""
    try:
        document = yaml.load(text, _ParamsLoader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{source} cannot be read: {error}", f"Fix {source}.") from error
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a mapping of sections", f"Fix {source}.")
    return document


def validate(cls: type[Sections], document: dict[str, Any], source: str) -> Sections:
    """Check sections against a class; raise InputError with one line for each invalid value."""
    try:
        # From JSON pydantic accepts a list as a tuple and text as a date, and is strict in all else.
        return cls.model_validate_json(json.dumps(document))
    except ValidationError as error:
        lines = [f"  {line}" for details in error.errors() for line in _describe(details, document)]
        message = f"{source} has {len(lines)} error{'s' if len(lines) > 1 else ''}:\n" + "\n".join(lines)
        raise InputError(message, f"Fix {source}; `python -m pipelines schema` prints what it may hold.") from error


def _describe(details: Any, document: dict[str, Any]) -> list[str]:
    """Return the path of an invalid value, what was expected, and the value itself if it is a plain one.

    Errors between keys (`cross_check`) arrive as one message of several lines. The path is empty for an error between
    sections, whose message begins with the section.
    """
    path = [str(part) for part in details["loc"] if part != "[key]"]
    section = document.get(path[0]) if path else None
    if isinstance(section, dict) and path[1:2] in ([section.get("kind")], [section.get("by")]):
        del path[1]  # pydantic adds the form of the section
    value, context = details.get("input"), details.get("ctx", {})
    message = str(details["msg"]).removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            message, value = "unknown key", None
        case "missing":
            message, value = "is missing", None
        case "union_tag_not_found":
            path.append(context["discriminator"].strip("'"))
            message, value = "is missing", None
        case "union_tag_invalid":
            path.append(context["discriminator"].strip("'"))
            message, value = f"expected {context['expected_tags'].replace(', ', ' or ')}", context["tag"]
        case "literal_error":
            message = f"expected {context['expected']}"
        case "string_type" if not isinstance(value, dict | list):
            message += ", so put it in quotes"
    if isinstance(value, str | int | float | bool) and "password" not in message:
        message += f" (got {value!r})"
    return [": ".join(filter(None, [".".join(path), line])) for line in message.split("\n")]
