"""DVC's experiments: parameters tried from the command line, without a commit."""

import json
import os
import shlex
import sys
from contextlib import chdir
from importlib import import_module
from unittest import mock

import pytest
from dvc.cli import main

from testing.repository import quiet_environment
from tests.engine.in_process import must

pytestmark = pytest.mark.repository


def run_stage(_, command, cwd, **__):
    """A stage in this process: its imports take longer than its work."""
    _, _, module, *arguments = shlex.split(command)
    with chdir(cwd), mock.patch.object(sys, "argv", [module, *arguments]):
        import_module(module).main()


def test_an_experiment_changes_a_parameter_and_is_listed_with_its_metrics(repo):
    before = json.loads((repo.path / "reports/metrics.json").read_text())["test"]
    run = ["exp", "run", "--name", "longer", "-S", "candidates.boosting.params.max_iter=9"]
    with (
        chdir(repo.path),
        mock.patch.dict(os.environ, quiet_environment()),
        mock.patch("dvc.stage.run._run", run_stage),
    ):
        assert main(run) == 0
    assert "max_iter: 9" in (repo.path / "params.yaml").read_text()
    after = json.loads((repo.path / "reports/metrics.json").read_text())["test"]
    assert after != before
    shown = json.loads(must(repo.run("dvc", "exp", "show", "--json")).out)
    (baseline,) = [entry for entry in shown if entry["experiments"]]
    (experiment,) = baseline["experiments"]
    (revision,) = experiment["revs"]
    assert experiment["name"] == "longer"
    assert revision["data"]["metrics"]["reports/metrics.json"]["data"]["test"] == after
    boosting = revision["data"]["params"]["params.yaml"]["data"]["candidates"]["boosting"]
    assert boosting["params"]["max_iter"] == 9
