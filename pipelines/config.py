"""params.yaml as typed, strict, frozen objects. Everything a user sets is declared here and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from pipelines.errors import InputError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
ColumnType = Literal["number", "integer", "category", "timestamp", "identifier", "boolean"]
ClassificationMetric = Literal[
    "average_precision", "roc_auc", "log_loss", "brier", "calibration_error", "precision", "recall", "f1"
]
RegressionMetric = Literal["mae", "rmse", "r2"]
Metric = TypeVar("Metric", bound=str)


class Strict(BaseModel):
    """Frozen, without coercion, and refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Column(Strict):
    """What a column of the table may hold. Timestamps are UTC; a range's ends are included."""

    type: ColumnType
    min: float | None = None
    max: float | None = None
    allowed: tuple[str, ...] | None = Field(default=None, min_length=1)
    nullable: bool = False
    sensitive: bool = False

    @model_validator(mode="after")
    def _fits_type(self) -> Column:
        if self.type not in ("number", "integer") and (self.min is not None or self.max is not None):
            raise ValueError("min and max belong to type number or integer")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        if self.allowed is not None and self.type != "category":
            raise ValueError("allowed belongs to type category")
        if self.allowed and (len(set(self.allowed)) < len(self.allowed) or "" in self.allowed):
            raise ValueError("allowed values must be different from each other and not empty (missing is `nullable`)")
        return self


class Table(Strict):
    """The schema of the table: its columns and the part that some of them play."""

    key: str
    target: str
    event_time: str | None = None
    label_time: str | None = None
    label_delay_days: Annotated[int, Field(ge=0)] = 0
    columns: Mapping[str, Column]

    @model_validator(mode="after")
    def _roles(self) -> Table:
        for name in self.columns:
            # They are keys of JSON in requests, and the service refuses a signature with such names.
            if not name.isprintable() or '"' in name or "\\" in name or not name:
                raise ValueError(
                    f"{name!r} is no name of a column: it is empty, or has a quote, backslash or control character"
                )
        for role in ("key", "target", "event_time", "label_time"):
            name = getattr(self, role)
            if name is not None and name not in self.columns:
                raise ValueError(f"{role} names {name}, which is not among columns")
            if role.endswith("_time") and name is not None and self.columns[name].type != "timestamp":
                raise ValueError(f"{role} names {name}, which must be of type timestamp")
        if self.label_delay_days and self.event_time is None:
            raise ValueError("label_delay_days needs event_time")
        return self

    @property
    def sensitive(self) -> frozenset[str]:
        """Columns whose values never appear in a report, comment or error."""
        return frozenset(name for name, column in self.columns.items() if column.sensitive)


class ClassTable(Table):
    """For a classification also the class that the model gives the probability of."""

    positive: str


class Simulator(Strict):
    """Card payments made by pipelines/ingest/simulator.py, byte-identical for equal parameters and locks."""

    kind: Literal["simulator"]
    seed: Seed
    start: date
    days: Annotated[int, Field(ge=30, le=1000)]
    payments: Annotated[int, Field(ge=500)]
    customers: Annotated[int, Field(ge=50)]
    merchants: Annotated[int, Field(ge=50)]
    fraud_rate: Annotated[float, Field(gt=0, lt=0.5)]
    missing_rate: Share
    drift_from: date | None = None
    fraud_change_from: date | None = None


class Files(Strict):
    """CSV or Parquet files at any fsspec URL, one or many; wildcards are allowed."""

    kind: Literal["files"]
    paths: tuple[str, ...] = Field(min_length=1)
    rename: Mapping[str, str] = {}


class Validation(Strict):
    """Limits of what the rows may look like beyond the schema."""

    max_missing: Share
    max_share: Share
    leak_score: Annotated[float, Field(gt=0.5, le=1)]
    min_rows: Count


class SplitByTime(Strict):
    """Test is the newest matured days, validation the days before, training all that is older."""

    by: Literal["time"]
    test_days: Count
    validation_days: Count


class SplitByHash(Strict):
    """A row's side follows from a hash of its key (or of another column), so that it never changes."""

    by: Literal["hash"]
    salt: str
    column: str | None = None
    test: Annotated[float, Field(gt=0, lt=0.9)]
    validation: Annotated[float, Field(gt=0, lt=0.9)]

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> SplitByHash:
        if self.test + self.validation >= 0.95:
            raise ValueError("test and validation leave no rows to train on")
        return self


class Derived(Strict):
    """A feature computed inside the model's graph from raw fields."""

    op: Literal["log1p", "hour", "weekday", "is_weekend", "ratio", "differs"]
    of: str
    to: str | None = None

    @model_validator(mode="after")
    def _operands(self) -> Derived:
        if (self.to is not None) != (self.op in ("ratio", "differs")):
            raise ValueError("`to` belongs to ratio and differs, and both need it")
        return self


class Features(Strict):
    """What the model sees: columns as they are, and derived features."""

    use: tuple[str, ...]
    derive: Mapping[Name, Derived] = {}


class Step(Strict):
    """A transformer before the estimator, by import path."""

    estimator: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")]
    params: Mapping[str, Any] = {}


class Candidate(Step):
    """An estimator that competes, with the steps before it."""

    before: tuple[Step, ...] = ()


class Threshold(Strict):
    """How the threshold of the decision is chosen on the validation rows."""

    maximise: Literal["f1", "recall"] = "f1"
    min_precision: Share | None = None

    @model_validator(mode="after")
    def _recall_needs_precision(self) -> Threshold:
        if (self.maximise == "recall") != (self.min_precision is not None):
            raise ValueError("min_precision belongs to maximise: recall, which needs it")
        return self


class Selection(Strict, Generic[Metric]):
    """What is chosen on the validation rows: the winner, by this criterion."""

    metric: Metric


class ClassSelection(Selection[ClassificationMetric]):
    """For a classification also the threshold."""

    threshold: Threshold = Threshold()


class Gates(Strict, Generic[Metric]):
    """What blocks a merge. A tolerance is how far the unfavourable end of an interval may lie beyond main."""

    headline: Metric
    resamples: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed
    floors: Mapping[Metric, float]
    regression: Mapping[Metric, Annotated[float, Field(ge=0)]]
    scoring_time_ratio: Positive
    max_model_mb: Positive


class SliceBy(Strict):
    """Rows by a column's values (each of them, if none is named) or by a range, `from` included, `to` not."""

    column: str
    values: tuple[str, ...] | None = None
    low: float | None = Field(default=None, alias="from")
    high: float | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _one_way(self) -> SliceBy:
        if self.values is not None and (self.low is not None or self.high is not None):
            raise ValueError("a slice goes by values or by a range, not by both")
        return self


class Slices(Strict, Generic[Metric]):
    """Parts of the table that must not get worse, from a minimum support."""

    metric: Metric
    min_support: Count
    min_positives: Annotated[int, Field(ge=0)] = 0
    floor: float | None = None
    tolerance: Annotated[float, Field(ge=0)]
    by: Mapping[Name, SliceBy]


class Fairness(Strict):
    """Smallest over largest group, for each column that is sensitive and a category or boolean."""

    min_recall_ratio: Share
    min_false_positive_ratio: Share
    min_support: Count
    min_positives: Count


class Serving(Strict):
    """What the service needs and the release identity covers."""

    base_image: Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]
    max_batch_rows: Count
    max_body_mb: Positive
    timeout_seconds: Positive
    deploy: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


class Retention(Strict):
    """What `release retention` lists besides all that was ever in production."""

    keep_last: Count


class Common(Strict, Generic[Metric]):
    """The sections that both tasks share."""

    release: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    table: Table = Field(alias="schema")
    ingest: Annotated[Simulator | Files, Field(discriminator="kind")]
    validation: Validation
    split: Annotated[SplitByTime | SplitByHash, Field(discriminator="by")]
    features: Features
    candidates: Mapping[Name, Candidate] = Field(min_length=1)
    selection: Selection[Metric]
    gates: Gates[Metric]
    slices: Slices[Metric]
    serving: Serving
    retention: Retention

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Raw request fields that the model reads, in the order of the schema."""
        needed = set(self.features.use)
        for derived in self.features.derive.values():
            needed |= {derived.of} | ({derived.to} if derived.to else set())
        return tuple(name for name in self.table.columns if name in needed)

    @model_validator(mode="after")
    def _features_are_named_once(self) -> Common[Metric]:
        names = [*self.features.use, *self.features.derive]
        if not names:
            raise ValueError("features: the model sees nothing; name a column in use, or derive a feature")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"features: {', '.join(twice)} is named twice")
        if taken := [name for name in self.inputs if _TAKEN.fullmatch(name)]:
            raise ValueError(f"features: {', '.join(taken)} is a name that the model's graph or its answer bears")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Common[Metric]:
        columns = self.table.columns
        own = {self.table.key, self.table.target, self.table.label_time}
        operands: list[tuple[str, str, str | None]] = [("use", name, None) for name in self.features.use]
        for feature, derived in self.features.derive.items():
            operands += [(feature, name, derived.op) for name in (derived.of, derived.to) if name]
        for where, name, op in operands:
            if name not in columns:
                raise ValueError(f"features: {where} names {name}, which is not in schema.columns")
            if name in own:
                raise ValueError(f"features: {where} names {name}, which the model must not see")
            _check_operand(where, name, columns[name], op)
        for slice_name, by in self.slices.by.items():
            if by.column not in columns:
                raise ValueError(f"slices.by.{slice_name}: {by.column} is not in schema.columns")
            kind = columns[by.column].type
            if kind == "timestamp":
                raise ValueError(f"slices.by.{slice_name}: {by.column} is a timestamp; slice by a number or a category")
            if (by.low is not None or by.high is not None) != (kind in ("number", "integer")):
                raise ValueError(
                    f"slices.by.{slice_name}: a range belongs to a number, values to a category or boolean"
                )
        if isinstance(self.split, SplitByTime) and self.table.event_time is None:
            raise ValueError("split: by time needs schema.event_time; without one use by: hash")
        if isinstance(self.split, SplitByHash) and (self.split.column or self.table.key) not in columns:
            raise ValueError(f"split.column: {self.split.column} is not in schema.columns")
        return self


class Classification(Common[ClassificationMetric]):
    """A binary classification."""

    task: Literal["classification"]
    table: ClassTable = Field(alias="schema")
    selection: ClassSelection
    fairness: Fairness | None = None

    @model_validator(mode="after")
    def _target_is_a_class(self) -> Classification:
        if self.table.columns[self.table.target].type not in ("boolean", "integer", "category"):
            raise ValueError("schema.target: a class must be of type boolean, integer or category")
        return self


class Regression(Common[RegressionMetric]):
    """The prediction of a number."""

    task: Literal["regression"]

    @model_validator(mode="after")
    def _target_is_a_number(self) -> Regression:
        if self.table.columns[self.table.target].type not in ("number", "integer"):
            raise ValueError("schema.target: a regression needs a number or an integer")
        return self


Params = Classification | Regression
_ADAPTER: TypeAdapter[Params] = TypeAdapter(Annotated[Params, Field(discriminator="task")])
PATH = Path("params.yaml")
# The keys that say which of several forms a section has.
_TAGS = {"task": ("classification", "regression"), "kind": ("simulator", "files"), "by": ("time", "hash")}
# Columns that predict adds, and names that features.py and estimators.py give inside the graph.
_TAKEN = re.compile(
    r"probability|decision|value|reason|features|(raw|const)_\d+|estimator_.*|positive_class|one_column"
)


def _check_operand(where: str, name: str, column: Column, op: str | None) -> None:
    """Refuse a feature whose column is of a type that it cannot use."""
    fits: dict[str | None, tuple[str, ...]] = {
        None: ("number", "integer", "category", "boolean"),
        "log1p": ("number", "integer"),
        "ratio": ("number", "integer"),
        "differs": ("category",),
    }
    accepted = fits.get(op, ("timestamp",))
    if column.type not in accepted:
        raise ValueError(f"features: {where} takes {' or '.join(accepted)}, and {name} is of type {column.type}")
    if column.type == "timestamp" and column.nullable:
        raise ValueError(f"features: {where} needs a time in every row, and {name} is nullable")


class _PlainKeys(yaml.SafeLoader):
    """Refuses two things that YAML does without a word: to take the last of two equal keys, and NO for false."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        nodes = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in nodes]
        for i, (key, at) in enumerate(zip(keys, nodes, strict=True)):
            line = f"line {at.start_mark.line + 1}"
            if not isinstance(key, str):
                raise yaml.YAMLError(f"{line}: the key {at.value} is no text: put it in quotes")
            if key in keys[:i]:
                raise yaml.YAMLError(f"{line}: the key {key} is given twice")
        return super().construct_mapping(node, deep)


def parse(text: str, source: str = str(PATH)) -> Params:
    """Read the text of a params.yaml.

    Raises:
        InputError: with one line a fault: its path and what was expected.
    """
    try:
        raw = yaml.load(text, _PlainKeys)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that no calendar has
        raise InputError(f"{source} is not YAML: {error}", f"Mend {source}.") from error
    if not isinstance(raw, dict):
        raise InputError(f"{source}: expected a mapping of sections", f"Mend {source}.")
    if unquoted := _dates(raw):
        # DVC, which reads this file too, refuses YAML's own dates.
        raise InputError(f"{source}: {', '.join(unquoted)}: write the date in quotes", f"Mend {source}.")
    try:
        # Through JSON: there a list is a tuple and a date a string, and all the rest stays strict.
        return _ADAPTER.validate_json(json.dumps(raw))
    except ValidationError as error:
        lines = ["  " + ": ".join(filter(None, [_path(fault), _expected(fault)])) for fault in error.errors()]
        message = f"{source} has {len(lines)} fault{'s' if len(lines) > 1 else ''}:\n" + "\n".join(lines)
        raise InputError(message, f"Mend {source}; `python -m pipelines schema` prints what it may hold.") from error


def _dates(value: Any, path: str = "") -> list[str]:
    """Paths of values that YAML read as a date."""
    if isinstance(value, date):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in _dates(item, f"{path}.{key}" if path else str(key))]


def _path(fault: Any) -> str:
    """The place in the file, without the tags that the discriminated unions put in between.

    Empty for a fault between sections, whose message begins with the section.
    """
    parts = list(fault["loc"][1:])  # the first is the task
    if parts[:1] in (["ingest"], ["split"]):
        del parts[1:2]  # the second is the kind
    if fault["type"].startswith("union_tag"):
        parts.append(fault["ctx"]["discriminator"].strip("'"))
    return ".".join(str(part) for part in parts if part != "[key]")


def _expected(fault: Any) -> str:
    """What was expected, with the value that stood there where it is a plain one."""
    kind, got = fault["type"], fault.get("input")
    said = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    if kind.startswith("union_tag"):
        tag = fault["ctx"]["discriminator"].strip("'")
        said = f"expected {' or '.join(_TAGS[tag])}"
        return f"{said} (got {got[tag]!r})" if tag in got else f"is missing; {said}"
    if kind == "string_type" and not isinstance(got, dict | list):
        said += ", so put it in quotes"
    return f"{said} (got {got!r})" if isinstance(got, str | int | float | bool) else said


def load(path: Path = PATH) -> Params:
    """Read params.yaml of the work tree.

    Raises:
        InputError: if it is missing or wrong.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Run this in the root of the repository.") from error


def json_schema() -> dict[str, Any]:
    """The JSON schema that editors check params.yaml against."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema(by_alias=True)}
