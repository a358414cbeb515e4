"""The candidates and the estimator that docs/models.md shows are fitted and converted as they stand there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

from pipelines.config.read import validate
from pipelines.config.search import Search
from pipelines.training import estimators
from testing.repository import ROOT
from tests.engine.training.test_parity import check

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
MODULE = next(re.finditer(r"```python\n(.*?)```", PAGE, re.DOTALL))[1]
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
CANDIDATES = {name: shown for block in BLOCKS for name, shown in block.get("candidates", {}).items()}


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_of_the_page_converts_exactly(name, tmp_path, monkeypatch):
    (tmp_path / "team_models").mkdir()
    (tmp_path / "team_models" / "log_target.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    task = "classification"
    if name == "log_trees":
        task, fit = "regression", estimators.fit
        monkeypatch.setattr(
            estimators, "fit", lambda name, chosen, rows, target: fit(name, chosen, rows, np.abs(target))
        )
    shown = CANDIDATES[name]
    check(shown["estimator"], *shown.get("before", ()), task=task, **shown.get("params", {}))


def test_the_page_names_the_module_that_its_candidate_imports():
    assert len(CANDIDATES) == 5
    assert CANDIDATES["log_trees"]["estimator"].replace(".", "/").removesuffix("/LogTarget") + ".py" in PAGE


def test_the_search_that_the_page_shows_is_valid():
    (shown,) = [block["search"] for block in BLOCKS if "search" in block]
    assert set(validate(Search, shown, "the page").spaces["boosting"]) == {"max_iter", "learning_rate", "max_features"}
