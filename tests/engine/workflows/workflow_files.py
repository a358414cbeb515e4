"""The workflow files, parsed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.workflows.install import ROOT

GITHUB = ROOT / ".github"


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["on"] = document.pop(True, document.get("on"))  # YAML 1.1 takes `on` for true
    return document


WORKFLOWS = {path.name: read(path) for path in sorted(GITHUB.glob("workflows/*.yml"))}


JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]


CHECKOUTS = [
    (name, job, step.get("with", {}))
    for name, job in JOBS
    for step in WORKFLOWS[name]["jobs"][job]["steps"]
    if step.get("uses", "").startswith("actions/checkout@")
]


every_job = pytest.mark.parametrize(("workflow", "job"), JOBS)


every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS)


def job_of(workflow: str, job: str) -> dict[str, Any]:
    return WORKFLOWS[workflow]["jobs"][job]


def text_of(part: Any) -> str:
    return yaml.safe_dump(part, width=10_000)
