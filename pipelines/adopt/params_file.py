"""The text of params.yaml: each line that was inferred has a comment that tells how sure it is, and why."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import yaml

from pipelines.adopt.baseline import Limits
from pipelines.adopt.columns import Found
from pipelines.adopt.draft import Draft
from pipelines.adopt.names import slug

WRITTEN = ("model_name", "task", "schema", "ingest", "validation", "split", "features", "candidates", "selection",
           "value", "gates", "slices", "fairness")  # fmt: skip
WIDTH = 118
SMALL = 1_000
IMPUTER = "{estimator: sklearn.impute.SimpleImputer, params: {strategy: median, keep_empty_features: true}}"
SCALER = "{estimator: sklearn.preprocessing.StandardScaler}"


def quote(text: str) -> str:
    """Return a text as YAML: plain where it can be read in no other way."""
    plain = re.fullmatch(r"[^\W\d][\w ]*", text) and text == text.strip()
    if plain and isinstance(yaml.safe_load(text), str):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def number(value: float) -> str:
    """Return a number without digits that say nothing."""
    digits, exponent, power = (f"{value:.10g}" if abs(value) < 1e15 else f"{value:.0f}").partition("e")
    # YAML reads 6e-10 as a text.
    return f"{digits}.0e{power}" if exponent and "." not in digits else f"{digits}{exponent}{power}"


def params_text(draft: Draft, ingest: dict[str, Any], limits: Limits, old: str) -> str:
    """Return params.yaml.

    Args:
        ingest: how the table is read.
        old: the present params.yaml; sections that name neither columns nor metrics are taken from it as they are.
    """
    head, kept = _sections(old)
    parts = [
        head,
        f"model_name: {draft.model_name}\n\ntask: {draft.task}\n",
        _schema(draft),
        _ingest(draft, ingest),
        _validation(draft),
        _split(draft),
        _features(draft),
        _candidates(draft),
        _selection(draft, limits),
        "value: null  # what a decision costs, where you know it: docs/params.md\n",
        _gates(draft, limits),
        _slices(draft),
        _fairness(draft),
        *(text for name, text in kept.items() if name not in WRITTEN),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _sections(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first section, and each section with the comments above it."""
    pieces = re.split(r"^(?=[a-z_]+:)", text, flags=re.MULTILINE)
    return pieces[0], {piece.split(":")[0]: piece for piece in pieces[1:]}


def _comment(text: str) -> str:
    return " ".join(text.split())


def _line(indent: int, text: str, comment: str = "") -> str:
    """Return a line with its comment; above the line, if it does not fit beside it."""
    line, blanks = " " * indent + text, " " * indent
    if not comment:
        return line
    beside = f"{line}  # {_comment(comment)}"
    return beside if len(beside) <= WIDTH else f"{blanks}# {_comment(comment)}\n{line}"


def _schema(draft: Draft) -> str:
    lines = ["schema:", _line(2, f"key: {quote(draft.key)}", draft.key_why)]
    lines.append(_line(2, f"target: {quote(draft.target.name)}", "" if draft.positive else draft.target_why))
    if draft.positive is not None:
        lines.append(_line(2, f"positive: {quote(draft.positive)}", draft.target_why))
    if draft.rest:
        lines.append(_line(2, "negative: rest", "all other classes are one"))
    if draft.event_time:
        lines.append(_line(2, f"event_time: {quote(draft.event_time)}", draft.time_why))
    if draft.label_time:
        lines.append(_line(2, f"label_time: {quote(draft.label_time)}", "by its name"))
    if draft.event_time:
        lines.append(_line(2, "label_delay_days: 0", "days until a label is final: a person must say"))
    lines.append("  columns:")
    if draft.make_key:
        lines.append(_line(4, f"{quote(draft.key)}: {{type: identifier}}", "made by ingest.make_key"))
    lines += [_column(draft, column) for column in draft.columns]
    return "\n".join(lines)


def _column(draft: Draft, column: Found) -> str:
    settings, seen = [f"type: {column.type}"], ""
    if column.type in ("number", "integer") and column.low is not None:
        low, high = (0.0, 1.0) if (column.low, column.high) == (0, 1) else _room(column.low, column.high)
        settings += [f"min: {number(low)}", f"max: {number(high)}"]
        seen = f"; {number(column.low)} to {number(column.high)} seen"
    if column.values and column.name != draft.target.name:
        settings.append(f"allowed: [{', '.join(map(quote, sorted(column.values)))}]")
    if column.nullable:
        settings.append("nullable: true")
        seen += f"; {1 - column.present / column.rows:.1%} missing"
    why = column.why + seen
    if column.name in draft.sensitive:
        settings.append("sensitive: true")
        why += f"; sensitive {draft.sensitive[column.name]}"
    if column.name in draft.after:
        settings.append("known: after")
        why += f"; CONFIRM known: after: {draft.after[column.name]}"
    text = f"{quote(column.name)}: {{{', '.join(settings)}}}"
    return _line(4, text, why)


def _room(low: float, high: float) -> tuple[float, float]:
    """Return a range with room for values that the table does not show: half of its span to each side, rounded."""
    room = (high - low) / 2 or max(abs(high), 1.0)
    unit = 10 ** math.floor(math.log10(room))
    below = 0.0 if low >= 0 else math.floor((low - room) / unit) * unit
    return below, math.ceil((high + room) / unit) * unit


def _mapping(entries: dict[str, str]) -> str:
    return "{" + ", ".join(f"{quote(key)}: {quote(value)}" for key, value in entries.items()) + "}"


def _ingest(draft: Draft, ingest: dict[str, Any]) -> str:
    lines = ["ingest:"]
    for key, value in ingest.items():
        text = "[" + ", ".join(map(quote, value)) + "]" if isinstance(value, list) else quote(str(value))
        lines.append(_line(2, f"{key}: {text}"))
    columns = [*draft.columns]
    if draft.decimal != ".":
        lines.append(_line(2, 'decimal: ","', "more cells like 1,5 than like 1.5"))
    if words := sorted({word for column in columns for word in column.missing}):
        lines.append(_line(2, f"missing: [{', '.join(map(quote, words))}]",
                           "cells that mean a missing value, besides the empty cell and NA"))  # fmt: skip
    if dates := {column.name: column.dates for column in columns if column.dates}:
        lines.append(_line(2, f"dates: {_mapping(dates)}", "each reads every cell of its column"))
    if renamed := {column.source_name: column.name for column in columns if column.source_name != column.name}:
        lines.append(_line(2, f"rename: {_mapping(renamed)}", "names that a request or the model cannot have"))
    if draft.drop:
        why = "; ".join(f"{name}: {why}" for name, why in draft.drop.items())
        lines.append(_line(2, f"drop: [{', '.join(map(quote, draft.drop))}]", why))
    if draft.make_key:
        lines.append(_line(2, f"make_key: {draft.make_key}", "see schema.key"))
    return "\n".join(lines)


def _validation(draft: Draft) -> str:
    inherent = (draft.target.name, draft.label_time)
    missing = max([0.0, *(1 - c.present / c.rows for c in draft.columns if c.name not in inherent)])
    top = max(
        [0.0, *(max(c.values.values()) / c.present for c in draft.columns if c.values and c.name not in inherent)]
    )
    share = 0.995 if top <= 0.99 else 1 - (1 - top) / 2
    return "\n".join([
        "validation:",
        _line(2, f"max_missing: {min(1.0, math.ceil(20 * missing + 1) / 20):g}", f"{missing:.1%} is missing now"),
        _line(2, f"max_share: {share:.6g}", f"one value has at most {top:.2%} of the rows now" if top else ""),
        _line(2, "leak_score: 0.985"),
        _line(2, f"min_rows: {max(50, min(1_000_000, draft.rows // 2))}", f"half of the {draft.rows:,} rows"),
    ])  # fmt: skip


def _split(draft: Draft) -> str:
    lines = ["split:"]
    for i, (key, value) in enumerate(draft.split.items()):
        text = quote(value) if isinstance(value, str) else f"{value:g}"
        lines.append(_line(2, f"{key}: {text}", "" if i else draft.split_why))
    return "\n".join(lines)


def _listed(items: Iterable[str], indent: int) -> str:
    """Return items in lines of limited length."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) + indent > WIDTH - 4:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    return ("\n" + " " * indent).join([*lines, line.removesuffix(", ")])


def _features(draft: Draft) -> str:
    lines = ["features:"]
    if left := [*draft.after, *draft.sensitive]:
        lines.append(_line(2, f"# Left out, since they are known too late or sensitive: {', '.join(left)}"))
    lines.append(f"  use: [{_listed(map(quote, draft.use), 8)}]")
    if draft.derive:
        lines.append("  derive:")
        lines += [f"    {name}: {{op: {d['op']}, of: {quote(d['of'])}}}" for name, d in draft.derive.items()]
    return "\n".join(lines)


def _candidates(draft: Draft) -> str:
    kind = "Classifier" if draft.task == "classification" else "Regressor"
    leaf = 40 if draft.rows > 20_000 else 20 if draft.rows > SMALL else 10
    linear = (
        "logistic:\n    estimator: sklearn.linear_model.LogisticRegression\n"
        "    params: {C: 0.5, max_iter: 1000, random_state: 7}"
        if draft.task == "classification"
        else "ridge:\n    estimator: sklearn.linear_model.Ridge\n    params: {alpha: 1.0, random_state: 7}"
    )
    text = f"""candidates:  # a SimpleImputer where the estimator or its conversion cannot take missing values
  boosting:
    estimator: sklearn.ensemble.HistGradientBoosting{kind}
    params: {{max_iter: 120, learning_rate: 0.1, max_leaf_nodes: 31, min_samples_leaf: {leaf}, l2_regularization: 1.0,
             early_stopping: false, random_state: 7}}
  {linear}
    before:
      - {IMPUTER}
      - {SCALER}
"""
    if draft.rows <= 100_000:
        text += f"""  forest:
    estimator: sklearn.ensemble.RandomForest{kind}
    params: {{n_estimators: 100, max_depth: 12, min_samples_leaf: {max(5, leaf // 4)}, n_jobs: -1, random_state: 7}}
    before:
      - {IMPUTER}
"""
    return text


def _selection(draft: Draft, limits: Limits) -> str:
    lines = ["selection:", _line(2, f"metric: {limits.headline}", limits.headline_why)]
    if draft.task == "classification":
        lines.append("  threshold: {maximise: f1}")
    return "\n".join(lines)


def _gates(draft: Draft, limits: Limits) -> str:
    floors = ", ".join(f"{name}: {value:g}" for name, value in limits.floors.items())
    tolerances = ", ".join(f"{name}: {value}" for name, value in limits.tolerances.items())
    unclear = ("block", "") if limits.is_enough else ("warn", "the test rows are few: a gate that cannot judge warns")
    return "\n".join([
        "gates:",
        f"  headline: {limits.headline}",
        "  resamples: 1000",
        "  seed: 7",
        _line(2, f"floors: {{{floors}}}", limits.floors_why),
        _line(2, f"regression: {{{tolerances}}}", limits.tolerances_why),
        _line(2, f"when_unclear: {unclear[0]}", unclear[1]),
        "  scoring_time_ratio: 3.0",
        "  max_model_mb: 20",
    ])  # fmt: skip


def _slices(draft: Draft) -> str:
    share = draft.split.get("test", 0.2)
    support = max(100, round(draft.rows * share / 50, -2))
    few = [c for c in draft.columns if c.values and 2 <= len(c.values) <= 12 and c.name in draft.use]
    few.sort(key=lambda c: -min(c.values.values()))
    names: dict[str, str] = {}
    for column in few[:3]:
        names.setdefault(slug(column.name), column.name)
    by = [f"    {quote(name)}: {{column: {quote(column)}}}" for name, column in names.items()]
    metric = "roc_auc" if draft.task == "classification" else "mae"
    return "\n".join([
        "slices:",
        f"  metric: {metric}",
        _line(2, f"min_support: {support:g}"),
        "  tolerance: 10%",
        *(["  by:", *by] if by else ["  by: {}"]),
    ])  # fmt: skip


def _fairness(draft: Draft) -> str:
    groups = [name for name in draft.sensitive if draft.column(name).type in ("category", "boolean")]
    if draft.task == "regression" or not groups:
        return ""
    return "\n".join([
        f"fairness:  # between the groups of {', '.join(groups)}",
        _line(2, "min_recall_ratio: 0.6", "smallest rate of a group over the largest; a person must decide"),
        "  min_false_positive_ratio: 0.25",
        "  negligible_false_positive_rate: 0.002",
        _line(2, f"min_support: {max(50, min(500, draft.rows // 100))}"),
        "  min_positives: 25",
    ])  # fmt: skip
