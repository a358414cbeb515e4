"""Which files of the review's own code a head changes: the review runs with that changed code."""

from __future__ import annotations

import ast
from pathlib import Path

from pipelines.repository import git

OWN = Path("pipelines/review")
# Not imported by the review: what starts it, what runs the stages, and the stages that judge features/prepare.py and
# the rows, choose the test rows and measure the importance of the inputs.
STARTED = (
    Path("pipelines/__main__.py"),
    *(Path("pipelines/training", f"{name}.py") for name in ("prepare", "validate", "split", "evaluate")),
)
REPRODUCE = Path("pipelines/reproduce")
COMMANDS = ("Makefile", "dvc.yaml", ".github/workflows/review.yml")


def changed_code(base_sha: str) -> tuple[str, ...]:
    """The files that the review consists of and that differ from where the head began, uncommitted ones included."""
    begin = git.try_git("merge-base", base_sha, "HEAD") or base_sha
    listed = git.try_git("diff", "--name-only", "-z", begin, "--", "pipelines", *COMMANDS) or ""
    changed = {
        path for path in (*listed.split("\0"), *git.dirty()) if path.startswith("pipelines/") or path in COMMANDS
    }
    if not changed:
        return ()
    used = {path.as_posix() for path in files_used()} | set(COMMANDS)
    return tuple(sorted(path for path in changed if path in used or path.startswith(f"{OWN.as_posix()}/")))


def files_used() -> set[Path]:
    """The Python files that a review runs, among them the stages that it relies on."""
    return _with_imports([*OWN.rglob("*.py"), *REPRODUCE.rglob("*.py"), *STARTED])


def _with_imports(files: list[Path]) -> set[Path]:
    """Files and all files of pipelines/ that they import, directly or through others, inside functions too."""
    seen: set[Path] = set()
    waiting = [path for path in files if path.is_file()]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += _imports(path)
    return seen


def _imports(path: Path) -> set[Path]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    modules = [Path(*name.split(".")) for name in names if name.startswith("pipelines")]
    files = {file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py")}
    return {file for file in files if file.is_file()}
