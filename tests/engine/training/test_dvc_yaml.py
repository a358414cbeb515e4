"""dvc.yaml lists, for each stage, exactly the files that its module imports and the sections that it reads."""

import ast
import importlib
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from testing.repository import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def module_file(name: str) -> Path | None:
    """The file of a module of pipelines/, or None for anything else."""
    path = ROOT / Path(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def imports(path: Path) -> set[Path]:
    """Files of pipelines/ that a file imports anywhere, functions included."""
    files: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        files |= {file for name in names if name.startswith("pipelines") and (file := module_file(name))}
    return {file for file in files if file.name != "__init__.py"}


def all_imports(path: Path) -> set[str]:
    """A file and all files of pipelines/ that it imports, directly or through others."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imports(current)
    return {str(file.relative_to(ROOT)) for file in seen}


def sections_read(stage: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Sections of params.yaml in the class that the stage's `main` hands to `read_sections`."""
    module = importlib.import_module(f"pipelines.training.{stage}")
    classes: list[type[BaseModel]] = []

    def record(cls: type[BaseModel]) -> None:
        classes.append(cls)
        raise InterruptedError

    monkeypatch.setattr(module, "read_sections", record)
    with pytest.raises(InterruptedError):
        module.main()
    return {field.alias or name for name, field in classes[0].model_fields.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_module_its_imports_and_the_training_lock(stage: str) -> None:
    deps = set(STAGES[stage]["deps"])
    code = {dep for dep in deps if dep.startswith("pipelines/")}  # a team may add files of its own
    assert code == all_imports(ROOT / "pipelines" / "training" / f"{stage}.py")
    assert "requirements/pipelines.txt" in deps


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_sections_that_it_reads(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # `train` reads one entry of a section for each candidate: candidates.${key}.
    listed = {section.partition(".")[0] for section in STAGES[stage]["params"]}
    assert listed == sections_read(stage, monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module(stage: str) -> None:
    assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"pipelines.training.{stage}"]
