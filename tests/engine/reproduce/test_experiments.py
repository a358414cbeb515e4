"""DVC's experiments: parameters tried from the command line, without a commit."""

from __future__ import annotations

import json

import pytest

from tests.engine.in_process import must

pytestmark = pytest.mark.repository


def test_an_experiment_changes_a_parameter_and_is_listed_with_its_metrics(repo):
    before = json.loads((repo.path / "reports/metrics.json").read_text())["test"]
    must(repo.run("dvc", "exp", "run", "--name", "longer", "-S", "candidates.boosting.params.max_iter=9"))
    assert "max_iter: 9" in (repo.path / "params.yaml").read_text()
    after = json.loads((repo.path / "reports/metrics.json").read_text())["test"]
    assert after != before
    (baseline,) = [
        entry for entry in json.loads(must(repo.run("dvc", "exp", "show", "--json")).out) if entry["experiments"]
    ]
    (experiment,) = baseline["experiments"]
    (revision,) = experiment["revs"]
    assert experiment["name"] == "longer"
    assert revision["data"]["metrics"]["reports/metrics.json"]["data"]["test"] == after
    boosting = revision["data"]["params"]["params.yaml"]["data"]["candidates"]["boosting"]
    assert boosting["params"]["max_iter"] == 9
