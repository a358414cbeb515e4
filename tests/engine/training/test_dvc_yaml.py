"""The stages' deps against what their modules really import, and their params against what they really read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def module_file(name: str) -> Path | None:
    """The file of a module of pipelines/, or None for anything else."""
    path = ROOT / Path(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def imports(path: Path) -> set[Path]:
    """Files of pipelines/ that a file imports anywhere, functions included."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {file for name in names if name.startswith("pipelines") and (file := module_file(name))}
    return {file for file in found if file.name != "__init__.py"}


def closure(path: Path) -> set[str]:
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imports(current)
    return {str(file.relative_to(ROOT)) for file in seen}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_module_what_it_imports_and_the_training_lock(stage: str) -> None:
    deps = set(STAGES[stage]["deps"])
    code = {dep for dep in deps if dep.endswith(".py")}
    assert code == closure(ROOT / "pipelines" / "training" / f"{stage}.py")
    assert "requirements/pipelines.txt" in deps


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module(stage: str) -> None:
    assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"pipelines.training.{stage}"]
