"""A small world, and a scratch repository to ingest it into."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.config.ingest import Simulator
from pipelines.config.params import parse
from tests.engine.fixtures_repo import PARAMS

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]


@pytest.fixture(scope="session")
def spec():
    return Simulator.model_validate_json(
        '{"kind": "simulator", "seed": 7, "start": "2026-01-01", "days": 35, "payments": 5000, "customers": 300,'
        ' "merchants": 200, "fraud_rate": 0.012, "missing_rate": 0.02}'
    )


@pytest.fixture(scope="session")
def params(spec):
    """The params.yaml of the tests with the small world."""
    raw = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    return parse(yaml.safe_dump({**raw, "ingest": spec.model_dump(mode="json")}, sort_keys=False))


def git(folder, *arguments):
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory):
    """A git repository with DVC in it, without data; to copy, not to use."""
    folder = tmp_path_factory.mktemp("template") / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True, capture_output=True)
    (folder / ".gitignore").write_text("/data/\n/data.*.tmp/\n", encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


@pytest.fixture
def repository(tmp_path, empty_repository):
    return Path(shutil.copytree(empty_repository, tmp_path / "repository"))
