"""The rules of the base: the sections of its params.yaml that judge a model, read by the code of the head."""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.verbs import run_stage
from pipelines.config.metrics import METRICS
from pipelines.config.params import Params
from pipelines.config.paths import PREPARED, VALIDATION
from pipelines.config.read import PATH, read_yaml, validate
from pipelines.config.table_schema import Column
from pipelines.repository import git
from pipelines.repository.leaves import leaves
from pipelines.review.changes import param_changes
from pipelines.review.findings import DataError, ParamChange, data_errors

SECTIONS = ("validation", "value", "gates", "slices", "fairness")
CONFIRMATION = "allow_"  # settings that begin so give a reason for this one change: the head's count, never the base's
_NEUTRAL = ("gates.headline", "gates.seed")
_LOWER_IS_STRICTER = re.compile(
    r"validation\.(max_\w+|leak_score)|gates\.(history\.)?regression\.\w+|gates\.(scoring_time_ratio|plausible_gain|max_\w+)"
    r"|slices\.tolerance|(slices|fairness)\.min_(support|positives)|fairness\.negligible_\w+"
)
_HIGHER_IS_STRICTER = re.compile(
    r"(validation|gates)\.min_\w+|gates\.(resamples|history\.versions)|fairness\.min_\w+_ratio"
)
_FLOOR = re.compile(r"gates\.floors\.(\w+)|slices\.floor")
_GROUPED = ("category", "boolean")  # types of the sensitive columns that fairness judges
_LIMITS = {"min", "max", "allowed", "nullable", "known"}  # of a column
VERSIONS = 500  # of params.yaml whose reasons count as used
_STRICTEST = ("gates.when_unclear", '"block"')


@dataclass(frozen=True)
class BaseRules:
    """The rules of the base.

    Attributes:
        params: parameters of the head with the base's rules, limits of columns and split in place of its own.
        weaker: rules that the head removed, or changed to what is not known to be stricter.
        unreadable: rules of the base that the head's schema cannot read.
    """

    params: Params
    weaker: tuple[ParamChange, ...] = ()
    unreadable: tuple[ParamChange, ...] = ()


def base_rules(text: str | None, params: Params) -> BaseRules | None:
    """Read the rules in the base's params.yaml.

    Args:
        text: of the base's params.yaml, None if it has none.
        params: of the head.

    Returns:
        None if the base has no rules for this model: no params.yaml, or one for another model name, task or target.
    """
    if text is None:
        return None
    try:
        base = read_yaml(text, "params.yaml of the base")
    except InputError as error:
        return BaseRules(params, unreadable=(ParamChange("params.yaml", str(error).splitlines()[0], None),))
    if identity(base) != identity(params.model_dump(by_alias=True)):
        return None
    head = json.loads(params.model_dump_json(by_alias=True))
    document, unreadable = head, []
    for path, value in _rules(base, head):
        document, refused = _adopt(document, path, value)
        unreadable += [ParamChange(".".join(path), json.dumps(value), None) for path, value in refused]
    judged = validate(Params, document, "params.yaml of the base")
    changed = param_changes(_rules_as_text(judged), _rules_as_text(params))
    weaker = tuple(change for change in changed if not _is_stricter(change, params.slices.metric))
    return BaseRules(judged, weaker, tuple(unreadable))


def identity(document: dict[str, Any]) -> dict[str, Any]:
    """Name, task and target of a params.yaml; models that differ in one have nothing to compare."""
    target = _mapping(document, "schema").get("target")
    return {"model_name": document.get("model_name"), "task": document.get("task"), "target": target}


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _rules(base: dict[str, Any], head: dict[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    """Path and value of each rule of the base, with the reasons of the head."""
    rules: list[tuple[tuple[str, ...], Any]] = []
    for section in SECTIONS:
        values: Any = base.get(section)
        if isinstance(values, dict):
            reasons = {key: value for key, value in _mapping(head, section).items() if key.startswith(CONFIRMATION)}
            values = {key: value for key, value in values.items() if not key.startswith(CONFIRMATION)} | reasons
        if values is not None or section == "fairness":
            rules.append(((section,), values))
    columns = _mapping(_mapping(base, "schema"), "columns")
    here = _mapping(_mapping(head, "schema"), "columns")
    looser = _looser_columns(columns, here, is_fair=bool(base.get("fairness")))
    rules += [(("schema", "columns", *path), value) for path, value in looser]
    return rules if base.get("split") is None else [*rules, (("split",), base["split"])]


def _looser_columns(base: dict[str, Any], head: dict[str, Any], is_fair: bool) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of the columns of the base that the head lacks, and of the limits that it loosens.

    Args:
        is_fair: whether the base has a section `fairness`.
    """
    for name, column in base.items():
        try:
            before, now = validate(Column, column, ""), validate(Column, head[name], "")
        except (InputError, KeyError):
            yield (name,), column
            continue
        # A column that is no longer sensitive, or of another type, would no longer be judged.
        is_judged = is_fair and before.sensitive and before.type in _GROUPED
        looser = {
            "type": is_judged and now.type not in _GROUPED,
            "sensitive": is_judged and not now.sensitive,
            "min": before.min is not None and (now.min is None or now.min < before.min),
            "max": before.max is not None and (now.max is None or now.max > before.max),
            "allowed": before.allowed and (not now.allowed or not set(now.allowed) <= set(before.allowed)),
            "nullable": now.nullable and not before.nullable,
            # A feature of a column that is known only after the prediction is refused: it stays so.
            "known": before.known and not now.known,
        }
        yield from (((name, limit), column.get(limit, False)) for limit in looser if looser[limit])


def _adopt(
    document: dict[str, Any], path: tuple[str, ...], value: Any
) -> tuple[dict[str, Any], list[tuple[tuple[str, ...], Any]]]:
    """Put a value into a copy of a document, or, if that is invalid, those of its parts that are valid.

    Returns:
        The document, and path and value of the parts that are not.
    """
    copy: dict[str, Any] = json.loads(json.dumps(document))
    try:
        reduce(lambda inner, key: inner[key], path[:-1], copy)[path[-1]] = value
        validate(Params, copy, "")
        return copy, []
    except (InputError, KeyError, TypeError):
        if not isinstance(value, dict) or not value:
            return document, [(path, value)]
    refused = []
    for key, part in value.items():
        document, parts = _adopt(document, (*path, key), part)
        refused += parts
    return document, refused


def _rules_as_text(params: Params) -> str:
    """The rules among parameters, as text."""
    document = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    rules = {
        section: {key: value for key, value in document[section].items() if not key.startswith(CONFIRMATION)}
        for section in SECTIONS
        if document.get(section)
    }
    columns: dict[str, dict[str, Any]] = {}
    for name, column in sorted(params.table.columns.items()):
        columns[name] = column.model_dump(mode="json", include=_LIMITS, exclude_none=True)
        if column.sensitive and column.type in _GROUPED:
            columns[name]["sensitive"] = True
    rules["schema"] = {"columns": columns}
    return json.dumps(rules)


def _is_stricter(change: ParamChange, slice_metric: str) -> bool:
    """Whether a changed rule is at least as strict as before, as far as its path tells."""
    if change.base in (None, "{}", "[]") or change.path in _NEUTRAL or (change.path, change.head) == _STRICTEST:
        return True
    base, head = _number(change.base), _number(change.head)
    if base is None or head is None or base[1] != head[1]:
        return False
    if floor := _FLOOR.fullmatch(change.path):
        is_lower = METRICS[floor[1] or slice_metric].lower_is_better
    elif _LOWER_IS_STRICTER.fullmatch(change.path):
        is_lower = True
    elif _HIGHER_IS_STRICTER.fullmatch(change.path):
        is_lower = False
    else:
        return False
    return head[0] <= base[0] if is_lower else head[0] >= base[0]


def _number(text: str | None) -> tuple[float, str] | None:
    """A number with its unit, which is empty or %; None for anything else."""
    match = re.fullmatch(r'"?(-?[\d.]+(?:e[-+]?\d+)?)(%?)"?', text or "")
    return (float(match[1]), match[2]) if match else None


def data_errors_by_base(rules: BaseRules) -> tuple[DataError, ...]:
    """The data errors of the head's rows by the base's limits; measured only if the head weakens one.

    Stage `validate` runs as a process of its own, in a folder with the base's rules.

    Raises:
        InputError: if it ends without a result.
    """
    if not any(change.path.startswith(("validation.", "schema.")) for change in rules.weaker):
        return ()
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        folder = Path(scratch)
        # Not as JSON, which YAML reads in another way: there 1e-05 is a text.
        document = yaml.safe_dump(rules.params.model_dump(mode="json", by_alias=True))
        (folder / "params.yaml").write_text(document, encoding="utf-8")
        (folder / PREPARED).symlink_to(PREPARED.absolute())
        done = run_stage("validate", folder)
        if not (folder / VALIDATION).is_file():
            raise InputError(f"the rows cannot be validated by the base's limits: {done.stderr[-400:]}", "Run again.")
        return data_errors(json.loads((folder / VALIDATION).read_text(encoding="utf-8")))


def is_new_reason(setting: str, reason: str | None, base_sha: str) -> bool:
    """Whether no params.yaml that the base's branch ever had gives the same reason.

    Blanks, case and punctuation make no other reason.

    Args:
        setting: in section `gates`.
    """
    words = _words(reason or "")
    if not words:
        return False
    for text in git.past_texts(base_sha, str(PATH), VERSIONS):
        # Few texts contain the words; reading YAML is slow.
        if words in _words(text):
            value = dict(leaves(text)).get(f"gates.{setting}", '""')
            if words == _words(str(json.loads(value))):
                return False
    return True


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
