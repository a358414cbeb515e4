"""The tables of docs/params.md, generated from the JSON schema; the prose around them is written by hand."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.config.metrics import METRICS
from pipelines.config.params import json_schema

PAGE = Path("docs/params.md")
_MARKED = re.compile(r"(<!-- keys of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_METRICS = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.DOTALL)
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_HEADER = ("| key | type | default | means |", "|---|---|---|---|")


def fill(page: str) -> str:
    """Return the page with current tables, from `<!-- keys of SECTION -->` or `<!-- metrics -->` to `<!-- end -->`."""
    schema = json_schema()

    def table(match: re.Match[str]) -> str:
        # A key that several kinds of a section share is one row.
        rows: dict[tuple[str, ...], list[str]] = {}
        for kind, *row in _section(schema, match[2]):
            rows.setdefault(tuple(row), []).append(kind)
        lines = [
            f"| {key}{' (' + ', '.join(kinds) + ')' if any(kinds) else ''} | " + " | ".join(rest) + " |"
            for (key, *rest), kinds in rows.items()
        ]
        return match[1] + "\n".join([*_HEADER, *lines]) + "\n" + match[3]

    return _METRICS.sub(lambda match: match[1] + _metrics() + match[2], _MARKED.sub(table, page))


def _metrics() -> str:
    """The table of metrics."""
    lines = ["| metric | in reports | of | better | without skill |", "|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        no_skill = "the share of positives" if metric.no_skill is None else f"{metric.no_skill:g}"
        better, without = ("lower", "—") if metric.lower_is_better else ("higher", no_skill)
        lines.append(f"| `{name}` | {metric.label} | {metric.task} | {better} | {without} |")
    return "\n".join(lines) + "\n"


def _section(schema: dict[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    """Kind, key, type, default and meaning of every key of a section."""
    node = schema["properties"][name]
    forms = [form for form in node.get("oneOf") or node.get("anyOf") or [node] if "$ref" in form]
    if "discriminator" in node:
        forms = [{"$ref": ref, "kind": kind} for kind, ref in node["discriminator"]["mapping"].items()]
    if not forms:
        optional = name not in schema["required"]
        yield "", f"`{name}`", _type(schema, node), _default(node, optional), node.get("description", "")
        yield from (("", *row) for row in _below(schema, node, f"{name}"))
    for form in forms:
        definition = _resolve(schema, form)
        yield from ((form.get("kind", ""), *row) for row in _keys(schema, definition, ""))


def _keys(schema: dict[str, Any], definition: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    for key, node in definition["properties"].items():
        optional = key not in definition.get("required", ())
        row = (f"`{prefix}{key}`", _type(schema, node), _default(node, optional))
        yield *row, node.get("description", "").replace("|", "\\|")
        yield from _below(schema, node, prefix + key)


def _below(schema: dict[str, Any], node: dict[str, Any], path: str) -> Iterator[tuple[str, ...]]:
    """The keys of what a node holds: a section, or a mapping or list of sections."""
    for form in node.get("anyOf", [node]):
        if "$ref" in form:
            yield from _keys(schema, _resolve(schema, form), f"{path}.")
        elif (items := form.get("items")) and "$ref" in items:
            yield from _below(schema, items, f"{path}[]")
        elif isinstance(values := _values(form), dict):
            yield from _below(schema, values, f"{path}.NAME")


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][node["$ref"].rpartition("/")[2]]  # type: ignore[no-any-return]


def _values(node: dict[str, Any]) -> dict[str, Any] | bool | None:
    """The schema of the values of a mapping."""
    patterns = node.get("patternProperties")
    return next(iter(patterns.values())) if patterns else node.get("additionalProperties")


def _default(node: dict[str, Any], optional: bool) -> str:
    if not optional:
        return "required"
    default = node.get("default")
    return "see below" if isinstance(default, dict) and default else f"`{json.dumps(default, ensure_ascii=False)}`"


def _type(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """The type of a value in words."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_type(schema, form) for form in node["anyOf"] if form != {"type": "null"})) + (
            " or null" if {"type": "null"} in node["anyOf"] else ""
        )
    if "$ref" in node:
        return "mapping"
    if node.get("enum") == list(METRICS):
        return "metric"
    if "const" in node or "enum" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    match node.get("type"):
        case "object":
            values = _values(node)
            held = f" of {_type(schema, values)}" if isinstance(values, dict) and "$ref" not in values else ""
            return f"mapping{held}"
        case "array":
            return f"list of {_type(schema, node['items'])}"
        case "integer" | "number" as number:
            limits = [f"{sign} {float(node[name]):.10g}" for name, sign in _LIMITS.items() if name in node]
            return " ".join(["whole number" if number == "integer" else "number", ", ".join(limits)]).strip()
        case "string":
            return "date in quotes" if node.get("format") == "date" else "text"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
    return "any value"
