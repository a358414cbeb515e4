"""A team deletes the simulator as examples/fraud/README.md says, and what is left works."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.engine.fixtures_repo import PARAMS, copy_sources

pytestmark = pytest.mark.repository

IMPORT_ALL = """
import importlib, pkgutil, pipelines
for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from pipelines.__main__ import main
assert main(["schema", "--write"]) == 0
assert main(["data", "--keep-pointer"]) == 0
"""


def run(folder, *command):
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def without_simulator(tmp_path):
    """A copy of the files in git, without the simulator."""
    folder = tmp_path / "copy"
    folder.mkdir()
    copy_sources(folder)
    shutil.rmtree(folder / "examples/fraud")
    shutil.rmtree(folder / "tests/engine/fraud")
    path = folder / "pipelines/config/ingest.py"
    text = re.sub(r"class Simulator\(\w+\):.*?(?=^class )", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^Ingest = .*", "Ingest = Files", text, flags=re.MULTILINE)
    assert "Simulator" not in text
    path.write_text(text)
    return folder


def test_the_simulator_can_be_deleted(without_simulator, payments_folder):
    document = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    document["ingest"] = {"kind": "files", "paths": [str(payments_folder / "payments.parquet")]}
    (without_simulator / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    # The whole verb, in a repository of its own.
    subprocess.run(["git", "init", "-q"], cwd=without_simulator, check=True)
    assert "data/ now holds 5000 rows" in run(without_simulator, "-c", IMPORT_ALL)
    schema = (without_simulator / "params.schema.json").read_text(encoding="utf-8")
    assert "imulator" not in schema and "wildcards" in schema
    tests = ["tests/engine/ingest/test_files.py"]
    printed = run(without_simulator, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *tests)
    assert " passed" in printed
