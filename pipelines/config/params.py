"""The whole of params.yaml. Every setting is declared in this folder and nowhere else."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.config.base import cross_check
from pipelines.config.candidates import Candidates
from pipelines.config.gates import Fairness, Gates, Slices
from pipelines.config.ingest import Ingest
from pipelines.config.monitor import Monitor
from pipelines.config.read import PATH, read_text, read_yaml, validate
from pipelines.config.rollout import Rollout
from pipelines.config.search import Search
from pipelines.config.selection import SelectionParams, metric_errors
from pipelines.config.serving import Release, Retention, Serving
from pipelines.config.split import SplitParams
from pipelines.config.validation import Validation


class Params(SelectionParams, SplitParams):
    """All sections.

    Attributes:
        candidates: name -> an estimator that competes.
    """

    ingest: Ingest
    validation: Validation
    candidates: Candidates
    search: Search = Search()
    gates: Gates
    slices: Slices
    fairness: Fairness | None = None
    serving: Serving
    release: Release = Release()
    retention: Retention
    rollout: Rollout | None = None
    monitor: Monitor = Monitor()

    @cross_check
    def _gates_fit_task(self) -> Iterator[str]:
        used = {"gates.headline": self.gates.headline, "slices.metric": self.slices.metric}
        used |= {f"gates.floors.{name}": name for name in self.gates.floors}
        used |= {f"gates.regression.{name}": name for name in self.gates.regression}
        if self.gates.history:
            used |= {f"gates.history.regression.{name}": name for name in self.gates.history.regression}
        yield from metric_errors(self.task, used, self.value is not None)
        if self.task == "regression" and self.fairness is not None:
            yield "fairness: belongs to task classification"

    @cross_check
    def _searched_candidates_exist(self) -> Iterator[str]:
        for name in self.search.spaces:
            if name not in self.candidates:
                yield f"search.spaces.{name}: is not in candidates"

    @cross_check
    def _slice_columns_exist(self) -> Iterator[str]:
        for name, by in self.slices.by.items():
            where = f"slices.by.{name}"
            if by.column not in self.table.columns:
                yield f"{where}: {by.column} is not in schema.columns"
                continue
            column_type = self.table.columns[by.column].type
            if column_type == "timestamp":
                yield f"{where}: {by.column} is a timestamp; slice by a number or a category"
            elif (by.low is not None or by.high is not None) != (column_type in ("number", "integer")):
                yield f"{where}: a range belongs to a number, values to a category or boolean"

    @cross_check
    def _dates_are_times(self) -> Iterator[str]:
        for name in getattr(self.ingest, "dates", {}):
            if name not in self.table.columns or self.table.columns[name].type != "timestamp":
                yield f"ingest.dates: {name} is not a column of type timestamp in schema.columns"

    @cross_check
    def _until_has_a_time(self) -> Iterator[str]:
        if self.ingest.until is not None and self.table.event_time is None:
            yield "ingest.until: needs schema.event_time"

    @cross_check
    def _rollout_fits(self) -> Iterator[str]:
        if self.rollout is None:
            return
        if isinstance(self.serving.deploy, tuple):
            if not self.serving.splits_requests:
                yield (
                    "serving.deploy: a rollout needs a command that gives a canary its share of the requests: add the "
                    "words {ROLE} and {WEIGHT}, or use null or `pull`"
                )
            if self.rollout.sticky:
                yield "rollout.sticky: your command of serving.deploy decides who gets the canary: remove the key"
        if self.rollout.decide_on:
            if (self.rollout.decide_on == "absolute_error") != (self.task == "regression"):
                losses = "absolute_error" if self.task == "regression" else "log_loss or brier"
                yield f"rollout.decide_on: use {losses} for a {self.task}"
            if self.monitor.labels is None:
                yield "rollout.decide_on: needs the labels of predictions: set monitor.labels"
            if self.rollout.max_hours <= 24 * self.table.label_delay_days:
                yield "rollout.max_hours: no label is final by then: use more than 24 times schema.label_delay_days"

    @property
    def ingest_id(self) -> str:
        """16 hexadecimal digits that change with every setting that ingest reads."""
        roles = {"event_time", "key"} | ({"target", "label_time"} if getattr(self.ingest, "make_key", None) else set())
        document = self.table.model_dump(include=roles) | {
            "ingest": self.ingest.model_dump(mode="json", exclude={"until"} if self.ingest.until is None else None),
            "types": {name: column.type for name, column in self.table.columns.items() if not column.prepared},
        }
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def parse(text: str, source: str = str(PATH)) -> Params:
    """Parse the text of a params.yaml; raise InputError with one line for each invalid value."""
    return validate(Params, read_yaml(text, source), source)


def load(path: Path = PATH) -> Params:
    """Read params.yaml of the work tree; raise InputError if it is missing or invalid."""
    return parse(read_text(path), str(path))


def json_schema() -> dict[str, Any]:
    """Return the JSON schema that editors check params.yaml against."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema(by_alias=True)}
