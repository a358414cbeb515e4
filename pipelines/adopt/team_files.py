"""Replace what is the template's own by the team's first files."""

import shutil
from pathlib import Path

from pipelines.adopt.first_files import render
from pipelines.cli.files import write_text

# Also a folder of the work tree that git does not hold: models/.
REMOVED = ("examples", "bench", "tests/engine/fraud", "tests/engine/bench", "dvc.lock", "data.dvc", "reports/review")
KEPT = {"README.md"}


def replace_template(root: Path, model_name: str, target: str) -> None:
    """Remove the default problem, its reports, benchmarks and model, and write the team's README and first function."""
    for name in REMOVED:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in ("features", "reports", "models"):
        for path in sorted((root / folder).glob("*")):
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (root / "tests/critical").glob("*.yaml"):
        path.unlink()
    project = root / "pyproject.toml"
    # The layers name every package; what is gone must not be among them.
    write_text(project, project.read_text(encoding="utf-8").replace(', "bench"', "").replace('"bench", ', ""))
    write_text(root / "features/prepare.py", render("prepare.py.j2"))
    write_text(root / "README.md", render("README.md.j2", name=model_name, target=target))


def ignore_table(root: Path, path: str) -> None:
    """Let git ignore a table that lies in the repository: data/ holds its rows, and git never does."""
    file = root / ".gitignore"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    line = f"/{path}"
    if line not in text.splitlines():
        write_text(file, f"{text.rstrip()}\n# The table that `make adopt` read: data/ holds its rows.\n{line}\n")
