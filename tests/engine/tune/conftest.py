"""A team's repository of a few hundred rows, as the current folder, with a space to search."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.config.paths import PREPARED
from pipelines.tune import flow, page
from testing.repository import quiet_environment
from tests.engine.fixtures_model import SMALL, raw_columns
from tests.engine.fixtures_repo import merge

SPACE = """\
search:  # what to try
  spaces:
    boosting:
      max_iter: {from: 5, to: 20}
      learning_rate: {from: 0.03, to: 0.3, log: true}
"""
ROWS = 600
Problem = Callable[..., Path]


def table(rows: int = ROWS) -> pa.Table:
    """The rows of the small model with a target that its price explains in part."""
    raw = raw_columns(rows)
    noise = np.random.default_rng(1).normal(0, 0.7, rows)
    returned = 0.01 * raw["price"] + (raw["size"] != raw["usual_size"]) - 1 + noise > 0
    columns: dict[str, Any] = {name: pa.array(values.tolist(), from_pandas=True) for name, values in raw.items()}
    return pa.table(columns | {"order_id": [f"o{i}" for i in range(rows)], "returned": returned})


def tune(name: str, trials: int | None, seconds: float | None, started: float | None = None) -> int:
    """A search that begins now, or began before."""
    return flow.tune(name, trials, seconds, time.monotonic() if started is None else started)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Make a repository in a folder of its own, and make that the current one."""
    for name, value in quiet_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.delenv("SEARCH_STORAGE", raising=False)
    monkeypatch.setattr(page, "_plots", lambda *_: [])  # they take longer than the trials; one test draws them
    # There is no pipeline here, and prepared/ is as it should be.
    monkeypatch.setattr(flow, "run_verb", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))

    def made(name: str = "team", **changes: Any) -> Path:
        folder = tmp_path / name
        (folder / PREPARED).mkdir(parents=True)
        monkeypatch.chdir(folder)
        text = SMALL.replace("selection:", f"{SPACE}selection:")
        if changes:
            document = yaml.safe_load(text)
            merge(document, changes)
            text = yaml.safe_dump(document, sort_keys=False)
        Path("params.yaml").write_text(text)
        Path(".gitignore").write_text(f"/{PREPARED}/\n/.mainline/\n/reports/\n")
        pq.write_table(table(), PREPARED / "rows.parquet")
        git("init", "--quiet", "--initial-branch=main")
        git("add", "--all")
        git("commit", "--quiet", "-m", "the problem")
        return folder

    return made
