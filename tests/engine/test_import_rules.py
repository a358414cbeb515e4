"""The import rules of pyproject.toml refuse a forbidden import of each kind; `make lint` checks the sources."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.repository import ROOT

PACKAGES = ("pipelines", "serving", "bench", "testing")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(sources: Path) -> list[str]:
    """Names of the contracts that import-linter reports as broken."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    lint = subprocess.run(command, cwd=sources, capture_output=True, text=True, env={"NO_COLOR": "1"})
    names = [line.removesuffix(" BROKEN") for line in lint.stdout.splitlines() if line.endswith(" BROKEN")]
    assert bool(names) == bool(lint.returncode), lint.stdout + lint.stderr
    return names


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("pipelines/rollback/flow.py", "from pipelines.review import judge", "no verb imports another verb"),
        ("pipelines/review/judge.py", "from pipelines.training import select", "only tune imports the stages"),
        ("pipelines/tune/flow.py", "from pipelines.review import judge", "no verb imports another verb"),
        ("pipelines/model/encoding.py", "from pipelines.tables import rows", "imports go down"),
        ("pipelines/pages/numbers.py", "from pipelines.cli import files", "imports go down"),
        ("pipelines/new_room.py", "", "imports go down"),
        ("pipelines/training/split.py", "from pipelines.repository import git", "neither git nor GitHub"),
        ("pipelines/github/client.py", "from pipelines.model import signature", "neither tables nor models"),
        ("serving/rows.py", "from pipelines.cli import files", "the service"),
        ("serving/rows.py", "import pandas", "the service"),
        ("serving/rows.py", "import mlflow.pyfunc", "the service"),
        ("bench/load.py", "from tests.engine import in_process", "only tests import tests"),
        ("pipelines/cli/files.py", "from tests.engine import in_process", "only tests import tests"),
        ("pipelines/cli/files.py", "from testing import repository", "no test helpers"),
        ("serving/errors.py", "from serving import service", "no circle"),
    ],
)
def test_a_forbidden_import_breaks_its_rule(sources: Path, file: str, line: str, contract: str) -> None:
    with (sources / file).open("a") as module:
        module.write(f"\n{line}\n")
    assert any(contract in name for name in broken_contracts(sources))


def test_the_sources_break_no_rule(sources: Path) -> None:
    assert broken_contracts(sources) == []
