"""Which files of the review's own code a head changes: it is judged by the code that it brings itself."""

from __future__ import annotations

import ast
from pathlib import Path

from pipelines.repository import git

OWN = Path("pipelines/review")
# Validation judges the rows, in a stage: the review imports no stage.
STAGE = Path("pipelines/training/validate.py")


def changed_code(base_sha: str) -> tuple[str, ...]:
    """The files that the review consists of and that differ from where the head began, uncommitted ones included."""
    begin = git.try_git("merge-base", base_sha, "HEAD") or base_sha
    listed = git.try_git("diff", "--name-only", "-z", begin, "--", "pipelines") or ""
    changed = {path for path in (*listed.split("\0"), *git.dirty()) if path.startswith("pipelines/")}
    if not changed:
        return ()
    used = {path.as_posix() for path in _with_imports([*OWN.rglob("*.py"), STAGE])}
    return tuple(sorted(path for path in changed if path in used or path.startswith(f"{OWN.as_posix()}/")))


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
