"""Is a request one that GitHub would take? Prism answers, from GitHub's own OpenAPI description.

Needs the tools of `make workflow-tools`. The description is trimmed to the paths in use: Prism then starts in a second.
"""

import http.client
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.engine.workflows.install import DESCRIPTION, NODE, environment, tools

REPO = "/repos/{owner}/{repo}"
PATHS = (
    REPO,
    f"{REPO}/actions/artifacts/{{artifact_id}}/{{archive_format}}",
    f"{REPO}/actions/oidc/customization/sub",
    f"{REPO}/actions/permissions/workflow",
    f"{REPO}/actions/runs/{{run_id}}",
    f"{REPO}/actions/runs/{{run_id}}/artifacts",
    f"{REPO}/actions/variables",
    f"{REPO}/actions/variables/{{name}}",
    f"{REPO}/actions/workflows/{{workflow_id}}/dispatches",
    f"{REPO}/actions/workflows/{{workflow_id}}/runs",
    f"{REPO}/check-runs",
    f"{REPO}/check-runs/{{check_run_id}}",
    f"{REPO}/commits/{{commit_sha}}/pulls",
    f"{REPO}/commits/{{ref}}/check-runs",
    f"{REPO}/environments",
    f"{REPO}/environments/{{environment_name}}",
    f"{REPO}/environments/{{environment_name}}/deployment-branch-policies",
    f"{REPO}/environments/{{environment_name}}/deployment-branch-policies/{{branch_policy_id}}",
    f"{REPO}/issues",
    f"{REPO}/issues/comments/{{comment_id}}",
    f"{REPO}/issues/{{issue_number}}",
    f"{REPO}/issues/{{issue_number}}/comments",
    f"{REPO}/labels",
    f"{REPO}/labels/{{name}}",
    f"{REPO}/pulls",
    f"{REPO}/pulls/{{pull_number}}",
    f"{REPO}/pulls/{{pull_number}}/reviews",
    f"{REPO}/actions/artifacts",
    f"{REPO}/releases",
    f"{REPO}/releases/tags/{{tag}}",
    f"{REPO}/rulesets",
    f"{REPO}/rulesets/{{ruleset_id}}",
)


def trimmed() -> dict[str, Any]:
    """GitHub's description with the paths in use alone, and every answer replaced by an empty 204.

    Raises:
        AssertionError: if the tools are not there.
    """
    path = tools() / DESCRIPTION
    assert path.is_file(), f"{path} is not there: run `make workflow-tools`"
    whole = json.loads(path.read_text(encoding="utf-8"))
    paths = {name: _without_answers(whole["paths"][name]) for name in PATHS}
    components: dict[str, dict[str, Any]] = {}
    todo: list[Any] = [paths]
    while todo:
        for reference in _references(todo.pop()):
            _, _, kind, name = reference.split("/")
            if name not in components.setdefault(kind, {}):
                components[kind][name] = whole["components"][kind][name]
                todo.append(components[kind][name])
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": components}


def _without_answers(path: dict[str, Any]) -> dict[str, Any]:
    answers = {"204": {"description": "GitHub would take this request."}}
    return {
        key: {**value, "responses": answers} if isinstance(value, dict) and "responses" in value else value
        for key, value in path.items()
    }


def _references(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
        return own.union(*map(_references, document.values()))
    return set().union(*map(_references, document)) if isinstance(document, list) else set()


class Validator:
    """Prism on a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Start it; `wait` until it answers."""
        description = folder / "github.json"
        description.write_text(json.dumps(trimmed()), encoding="utf-8")
        self.port = port
        self._log = folder / "prism.log"
        prism = tools() / "@stoplight/prism-cli/dist/index.js"
        command = [NODE, prism, "mock", description, "--port", str(port), "--errors", "--verboseLevel", "error"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self, seconds: float = 60) -> None:
        """Return once it answers.

        Raises:
            AssertionError: if it does not, with what it printed.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                self._ask("GET", "/", {}, b"")
            except OSError:
                assert self._process.poll() is None and time.monotonic() < until, self._log.read_text()
                time.sleep(0.05)
            else:
                return

    def find_errors(self, method: str, target: str, headers: dict[str, str], body: bytes) -> list[str]:
        """What is wrong with a request by GitHub's description; empty if nothing."""
        status, text = self._ask(method, target, headers, body)
        if status < 400:
            return []
        document = json.loads(text)
        found = [f"{'.'.join(fault['location'])}: {fault['message']}" for fault in document.get("validation", [])]
        return found or [document.get("detail") or text]

    def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body=body or None, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
