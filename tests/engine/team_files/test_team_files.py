"""The team's files fit each other and the engine. In a copy with an unchanged engine, `make test` runs these checks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo as Dvc

from pipelines.config import paths
from pipelines.config.params import Params, load
from pipelines.config.read import read_sections
from pipelines.model import critical_cases
from pipelines.model.inputs import inputs_of
from pipelines.model.value_rules import check_value
from pipelines.repository.data_pointer import check_ingest
from pipelines.tables.data import connect, read_rows
from pipelines.training.validate import ValidateParams, find_data_errors


@pytest.fixture
def params(own_files: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """params.yaml of the repository, which is the current folder as long as the test runs."""
    monkeypatch.chdir(own_files)
    return load()


def stages() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_dvc_trains_the_candidates_of_params_yaml(params: Params) -> None:
    with Dvc() as dvc:
        trained = {stage.addressing for stage in dvc.index.stages if stage.addressing.startswith("train@")}
    assert trained == {f"train@{name}" for name in params.candidates}


def test_the_stages_read_sections_that_params_yaml_has(params: Params) -> None:
    sections = {section.partition(".")[0] for stage in stages().values() for section in stage.get("params", [])}
    assert sections <= set(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))


def test_dvc_yaml_writes_the_files_that_the_engine_reads(params: Params) -> None:
    entries = [entry for stage in stages().values() for key in ("outs", "metrics") for entry in stage.get(key, [])]
    written = {Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries}
    read = {paths.SPLIT, paths.MODEL, paths.SIGNATURE, paths.PROFILE, paths.VALIDATION, paths.SELECTION, paths.METRICS}
    assert read <= written


def test_critical_cases_hold_fields_and_values_of_the_schema(params: Params) -> None:
    inputs = {item.name: item for item in inputs_of(params)}
    problems = []
    files = critical_cases.load_files()
    foreign = [path for path, cases in files.items() if critical_cases.is_of_another_schema(cases, inputs)]
    problems += [f"{path}: {critical_cases.advice_on_another_schema(path, files[path])}" for path in foreign]
    for case in (case for path, cases in files.items() if path not in foreign for case in cases):
        for row in critical_cases.requests(case):
            problems += [f"{case.name}: the model does not read {name}" for name in row.keys() - inputs.keys()]
            rejections = [check_value(item, row.get(name)) for name, item in inputs.items()]
            problems += [f"{case.name}: {rejection.field} {rejection.reason}" for rejection in rejections if rejection]
        if params.task == "regression" and isinstance(case.expect, str):
            problems.append(f"{case.name}: a regression cannot answer {case.expect}")
    assert problems == []


def test_data_dvc_names_rows_of_this_ingest(params: Params) -> None:
    check_ingest(params, Path())


def test_the_rows_fit_the_schema(params: Params) -> None:
    if any(paths.PREPARED.glob("*.parquet")):
        table = read_rows(connect())
        assert find_data_errors(table, read_sections(ValidateParams), int(table.count().execute())) == []
    else:  # in CI, where the job `test` fetches no data
        assert json.loads(paths.VALIDATION.read_text(encoding="utf-8"))["passed"]
