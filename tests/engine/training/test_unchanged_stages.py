"""DVC reruns no stage after a change to what only judges or serves the model."""

import os
from contextlib import chdir
from typing import Any
from unittest import mock

import yaml
from dvc.repo import Repo as Dvc

from pipelines.config.params import load
from testing.repository import Repo, merge, quiet_environment

JUDGE_AND_SERVE: dict[str, Any] = {
    "gates": {"resamples": 301, "floors": {"roc_auc": 0.79}, "scoring_time_ratio": 49.0},
    "slices": {"tolerance": 0.03, "by": {"large": {"column": "amount", "from": 500}}},
    "fairness": {"min_recall_ratio": 0.41},
    "serving": {"timeout_seconds": 7, "deploy": ["./deploy.sh"]},
    "retention": {"keep_last": 3},
    "monitor": {"every_days": 1, "tolerance": 0.3},
}


def changed_stages(repo: Repo) -> set[str]:
    """Names of the stages that `dvc repro` would run."""
    with chdir(repo.path), mock.patch.dict(os.environ, quiet_environment()), Dvc() as dvc:
        return set(dvc.status())


def test_a_change_to_what_judges_serves_or_watches_reruns_no_stage(repo: Repo) -> None:
    repo.params(lambda document: merge(document, JUDGE_AND_SERVE))
    assert load(repo.path / "params.yaml").retention.keep_last == 3
    assert changed_stages(repo) == set()


def test_a_change_to_files_that_no_stage_imports_reruns_no_stage(repo: Repo) -> None:
    stages = yaml.safe_load((repo.path / "dvc.yaml").read_text())["stages"].values()
    deps = {dep for stage in stages for dep in stage["deps"]}
    others = [name for name in repo.git("ls-files", "pipelines", "serving", "docs").splitlines() if name not in deps]
    assert {"pipelines/review/flow.py", "pipelines/config/gates.py", "serving/rows.py"} <= set(others)
    for name in others:
        with (repo.path / name).open("ab") as file:
            file.write(b"\n")
    assert changed_stages(repo) == set()


def test_a_change_to_the_selection_reruns_the_stages_that_read_it(repo: Repo) -> None:
    repo.params(lambda document: merge(document, {"selection": {"metric": "roc_auc"}}))
    assert changed_stages(repo) == {"select", "export", "evaluate"}


def test_a_change_to_a_file_reruns_the_stages_that_import_it(repo: Repo) -> None:
    with (repo.path / "pipelines/tables/binning.py").open("a") as file:
        file.write("\n")
    assert changed_stages(repo) == {"validate", "profile"}


def test_a_change_to_the_function_of_prepared_columns_reruns_its_stage_and_bytecode_does_not(repo: Repo) -> None:
    (repo.path / "features/__pycache__").mkdir(exist_ok=True)
    (repo.path / "features/__pycache__/windows.pyc").write_bytes(b"bytecode")
    assert changed_stages(repo) == set()
    with (repo.path / "features/prepare.py").open("a") as file:
        file.write("\n")
    assert changed_stages(repo) == {"prepare"}
