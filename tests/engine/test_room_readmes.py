"""Each folder of pipelines/ has a README.md, whose sentence "Imports ..." names the folders that its modules import."""

import ast
import re
from pathlib import Path

import pytest

from testing.repository import ROOT

ROOMS = sorted(path for path in (ROOT / "pipelines").iterdir() if (path / "__init__.py").is_file())


def imported(room: Path) -> set[str]:
    nodes = [node for path in room.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    modules = [node.module.split(".") for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {parts[1] for parts in modules if parts[0] == "pipelines" and len(parts) > 1} - {room.name}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_readme_names_what_the_folder_imports(room: Path) -> None:
    text = " ".join((room / "README.md").read_text(encoding="utf-8").split())
    (sentence,) = re.findall(r"\bImports (.*?)\.(?= |$)", text)
    assert set(re.findall(r"`(\w+)`", sentence)) == imported(room)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_readme_names_files_that_exist(room: Path) -> None:
    named = re.findall(r"`([\w./]+\.(?:py|j2|css))`", (room / "README.md").read_text(encoding="utf-8"))
    assert [name for name in named if not any((base / name).is_file() for base in (room, room.parent))] == []
