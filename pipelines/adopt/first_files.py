"""The texts of the team's first files.

Each line of params.yaml that was inferred has a comment that tells how sure it is, and why.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.adopt.baseline import Baseline, Limits
from pipelines.adopt.columns import Found
from pipelines.adopt.draft import Draft
from pipelines.adopt.names import slug
from pipelines.config.params import Params

WRITTEN = ("model_name", "task", "schema", "ingest", "validation", "split", "features", "candidates", "selection",
           "value", "gates", "slices", "fairness")  # fmt: skip
WIDTH = 118
COMMENT = "\x1f"  # stands before a comment until it is known whether it fits beside its line


def render(template: str, **values: Any) -> str:
    """Return the text of one of the team's first files."""
    environment = Environment(  # noqa: S701 - not of HTML
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": as_yaml, "why": _why}
    return environment.get_template(template).render(**values)


def params_text(draft: Draft, ingest: dict[str, Any], limits: Limits, old: str) -> str:
    """Return params.yaml.

    Args:
        ingest: how the table is read.
        old: the present params.yaml; sections that name neither columns nor metrics are taken from it as they are.
    """
    head, *sections = re.split(r"^(?=[a-z_]+:)", old, flags=re.MULTILINE)
    columns = draft.columns
    inputs = [column for column in columns if column.name not in (draft.target.name, draft.label_time)]
    most_missing = max([0.0, *(1 - column.present / column.rows for column in inputs)])
    top = max([0.0, *(max(column.values.values()) / column.present for column in inputs if column.values)])
    text = render(
        "params.yaml.j2",
        head=head,
        kept=[section for section in sections if section.split(":")[0] not in WRITTEN],
        draft=draft,
        limits=limits,
        columns=[_column(draft, column) for column in columns],
        ingest=ingest,
        missing=sorted({word for column in columns for word in column.missing}),
        dates={column.name: column.dates for column in columns if column.dates},
        renamed={column.source_name: column.name for column in columns if column.source_name != column.name},
        most_missing=most_missing,
        max_missing=min(1.0, math.ceil(20 * most_missing + 1) / 20),
        top=top,
        max_share=round(0.995 if top <= 0.99 else 1 - (1 - top) / 2, 6),
        by=_slices(draft),
        min_support=max(100, round(draft.rows * draft.split.get("test", 0.2) / 50, -2)),
        groups=[name for name in draft.sensitive if draft.column(name).type in ("category", "boolean")],
    )
    placed = "\n".join(_placed(line) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", placed).strip("\n") + "\n"


def as_yaml(value: Any, exact: bool = False) -> str:
    """Return a value as YAML in one line; a number `exact`, or without digits that say nothing."""
    match value:
        case str():
            return _quote(value)
        case Mapping():
            return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(as_yaml, value)) + "]"
        case bool() | None:
            return json.dumps(value)
    return _number(value, exact)


def _quote(text: str) -> str:
    """Return a text, plain where it can be read in no other way."""
    if re.fullmatch(r"[^\W\d][\w ]*|\d+%", text) and text == text.strip() and isinstance(yaml.safe_load(text), str):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def _number(value: float, exact: bool = False) -> str:
    """Return a number, unless `exact` without digits that say nothing."""
    text = repr(value) if exact else f"{value:.10g}" if abs(value) < 1e15 else f"{value:.0f}"
    digits, exponent, power = text.partition("e")
    # YAML reads 6e-10 as a text.
    return f"{digits}.0e{power}" if exponent and "." not in digits else f"{digits}{exponent}{power}"


def _why(text: str | None) -> str:
    return f"{COMMENT}# {' '.join(text.split())}" if text else ""


def _placed(line: str) -> str:
    """Return a line with its comment; above the line, if it does not fit beside it."""
    text, _, comment = line.partition(COMMENT)
    if not comment:
        return text
    beside = f"{text}  {comment}"
    indent = text[: len(text) - len(text.lstrip())]
    return beside if len(beside) <= WIDTH else f"{indent}{comment}\n{text}"


def _column(draft: Draft, column: Found) -> tuple[str, dict[str, Any], str]:
    """Return name, settings, and how sure they are."""
    settings: dict[str, Any] = {"type": column.type}
    why = column.why
    if column.type in ("number", "integer") and column.low is not None:
        settings["min"], settings["max"] = _room(column.low, column.high)
        why += f"; {_number(column.low)} to {_number(column.high)} seen"
    if column.values and column.name != draft.target.name:
        settings["allowed"] = sorted(column.values)
    if column.nullable:
        settings["nullable"] = True
        why += f"; {1 - column.present / column.rows:.1%} missing"
    if column.name in draft.sensitive:
        settings["sensitive"] = True
        why += f"; sensitive {draft.sensitive[column.name]}"
    if column.name in draft.after:
        settings["known"] = "after"
        why += f"; CONFIRM known: after: {draft.after[column.name]}"
    return column.name, settings, why


def _room(low: float, high: float) -> tuple[float, float]:
    """Return a range with room for values that the table does not show: half of its span to each side, rounded."""
    if (low, high) == (0, 1):
        return 0.0, 1.0
    room = (high - low) / 2 or max(abs(high), 1.0)
    unit = 10 ** math.floor(math.log10(room))
    below = 0.0 if low >= 0 else math.floor((low - room) / unit) * unit
    return below, math.ceil((high + room) / unit) * unit


def _slices(draft: Draft) -> dict[str, str]:
    """Return name -> column of the three columns of few values whose rarest value is most frequent."""
    few = [c for c in draft.columns if c.values and 2 <= len(c.values) <= 12 and c.name in draft.use]
    few.sort(key=lambda c: -min(c.values.values()))
    names: dict[str, str] = {}
    for column in few[:3]:
        names.setdefault(slug(column.name), column.name)
    return names


def cases_text(params: Params, baseline: Baseline) -> str:
    """Return tests/critical/first.yaml: a row that the baseline answers well on each side."""
    target, scores, rows = baseline.rows.target, baseline.scores, baseline.rows.arrow
    if params.task == "classification":
        positives, negatives = np.flatnonzero(target == 1), np.flatnonzero(target == 0)
        chosen = {
            "a typical positive row": (int(positives[np.argmax(scores[positives])]), "positive"),
            "a typical negative row": (int(negatives[np.argmin(scores[negatives])]), "negative"),
        }
    else:
        error = np.abs(scores - target)
        room = 3 * float(np.median(error)) or 1.0
        chosen = {}
        for name, share in (("a row with a low value", 0.25), ("a row with a high value", 0.75)):
            near = np.argsort(np.abs(target - np.quantile(target, share)))[:50]
            index = int(near[np.argmin(error[near])])
            low, high = target[index] - room, target[index] + room
            chosen[name] = (index, f"{{at_least: {low:.4g}, at_most: {high:.4g}}}")
    cases = []
    for name, (index, expected) in chosen.items():
        row = rows.select(list(params.inputs)).slice(index, 1).to_pylist()[0]
        cases.append((name, {key: _plain(value) for key, value in row.items()}, expected))
    return render("first.yaml.j2", cases=cases)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    return None if isinstance(value, float) and np.isnan(value) else value
