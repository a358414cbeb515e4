"""emulate, with heads and merges as they are in git, and the endpoints that it lacks."""

import http.client
import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.engine.workflows.github_accounts import ALICE, BOT, DEPENDABOT, FORK, REPOSITORY


@dataclass(frozen=True)
class Response:
    """A response with a JSON document, or with bytes."""

    status: int
    document: Any = None
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Backend:
    """The state of acme/fraud.

    Attributes:
        port: of the fake, which links name.
        invalid: errors of requests.
        dispatches: (workflow file, body) of each workflow that was started.
        origin: the bare repository whose branches are the branches of acme/fraud, or None.
    """

    port: int
    invalid: list[str]

    def __init__(self, emulate_port: int) -> None:
        self._emulate = emulate_port
        self.clear()

    def clear(self) -> None:
        """Remove everything but what emulate stores."""
        self.origin: Path | None = None
        self.dispatches: list[tuple[str, Any]] = []
        self._artifacts: dict[int, tuple[int, str, bytes, int, str]] = {}
        self._merged: dict[int, tuple[str, str]] = {}
        self._runs: list[dict[str, Any]] = []
        self.sub_claim_prefix = "repo:acme@1/fraud@2"
        self.may_open_pulls = False
        self.workflow_runs: list[dict[str, Any]] = []
        kinds = ("rulesets", "environments", "policies", "variables", "settings")
        self._kept: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        self._ids = itertools.count(9_000_000_001)  # GitHub's ids do not fit into 32 bits

    def _ask_emulate(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        passed_on = ("authorization", "content-type")
        kept = {key: value for key, value in headers.items() if key.lower() in passed_on}
        kept["Host"] = f"127.0.0.1:{self.port}"  # emulate builds the links to further pages with it
        connection = http.client.HTTPConnection("127.0.0.1", self._emulate, timeout=30)
        try:
            connection.request(method, target, body=body or None, headers=kept)
            response = connection.getresponse()
            content = response.read()
            passed = {key: value for key, value in response.getheaders() if key.lower() in ("link", "location")}
            is_json = response.headers.get_content_type() == "application/json" and content
            return Response(response.status, json.loads(content) if is_json else None, content, passed)
        finally:
            connection.close()

    def _amended(self, document: Any) -> Any:
        """Return a document of emulate with heads as in git, the type of bots, and settings that emulate lacks."""
        if isinstance(document, list):
            return [self._amended(item) for item in document]
        if not isinstance(document, dict):
            return document
        new = {key: self._amended(value) for key, value in document.items()}
        if new.get("login") in (BOT, DEPENDABOT):
            new["type"] = "Bot"
        if new.get("full_name") == REPOSITORY:
            new |= self._kept["settings"]
        if self.origin and isinstance(new.get("head"), dict) and isinstance(new.get("base"), dict):
            forked = (new["head"].get("repo") or {}).get("full_name") == FORK
            head = f"refs/pull/{new['number']}/head" if forked else f"refs/heads/{new['head']['ref']}"
            new["head"]["sha"] = self.tip(head) or new["head"]["sha"]
            new["base"]["sha"] = self.tip(f"refs/heads/{new['base']['ref']}") or new["base"]["sha"]
            if new["number"] in self._merged:
                sha, at = self._merged[new["number"]]
                new |= {"merged_at": at, "merged": True, "merge_commit_sha": sha}
        return new

    def tip(self, ref: str) -> str | None:
        """Return the commit of a ref of the bare repository, or None."""
        command = ["git", "--git-dir", str(self.origin), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None

    def _blob(self, number: int, headers: dict[str, str]) -> Response:
        """Return the content of an artifact from another host, which must not get the token."""
        if any(key.lower() == "authorization" for key in headers):
            self.invalid.append("the token was sent to the storage of artifacts")
        return Response(200, content=self._artifacts[number][2], headers={"Content-Type": "application/zip"})

    def _list_artifacts(self, _method: str, _body: Any, run: str | None = None) -> Response:
        repository = self._ask_emulate("GET", f"/repos/{REPOSITORY}", {"authorization": f"token {ALICE}"}, b"").document
        artifacts = [
            {
                "id": number,
                "name": name,
                "size_in_bytes": size,
                "expired": False,
                "workflow_run": {"id": of, "head_branch": branch, "head_repository_id": repository["id"]},
            }
            for number, (of, name, _, size, branch) in self._artifacts.items()
            if run is None or of == int(run)
        ]
        return Response(200, {"total_count": len(artifacts), "artifacts": artifacts[::-1]})

    def _pulls_of(self, _method: str, _body: Any, sha: str) -> Response:
        token = {"authorization": f"token {ALICE}"}
        numbers = [number for number, (merged, _) in self._merged.items() if merged == sha]
        pulls = [self._ask_emulate("GET", f"/repos/{REPOSITORY}/pulls/{number}", token, b"") for number in numbers]
        return Response(200, [self._amended(response.document) for response in pulls])

    def _artifact_zip(self, _method: str, _body: Any, number: str) -> Response:
        if int(number) not in self._artifacts:
            return Response(404, {"message": "Not Found"})
        return Response(302, headers={"Location": f"http://localhost:{self.port}/storage/{number}"})

    def _dispatch(self, _method: str, body: Any, workflow: str) -> Response:
        if self.origin and not self._has(f"refs/heads/main:.github/workflows/{workflow}"):
            return Response(404, {"message": "Not Found"})
        if self.origin and not self.tip(f"refs/heads/{body['ref']}"):
            return Response(422, {"message": f"No ref found for: {body['ref']}"})
        self.dispatches.append((workflow, body))
        return Response(204)

    def _create_check(self, _method: str, body: Any) -> Response | None:
        if self.origin and not self._has(body.get("head_sha", "")):
            return Response(422, {"message": f"No commit found for SHA: {body.get('head_sha')}"})
        return None

    def _list_checks(self, _method: str, _body: Any, sha: str) -> Response:
        newest = {run["name"]: run for run in self._runs if run["head_sha"] == sha}
        return Response(200, {"total_count": len(newest), "check_runs": list(newest.values())})

    def _has(self, name: str) -> bool:
        command = ["git", "--git-dir", str(self.origin), "cat-file", "-e", name]
        return bool(name) and subprocess.run(command, capture_output=True).returncode == 0

    def _settings(self, method: str, body: Any) -> None:
        """Store the settings of squash messages; emulate handles the others."""
        self._kept["settings"] |= {key: value for key, value in body.items() if key.startswith("squash_merge_commit_")}

    def _rulesets(self, method: str, body: Any, number: str | None = None) -> Response:
        kept = self._kept["rulesets"]
        if method == "POST":
            number = str(next(self._ids))
        if number is None:
            return Response(200, [{"id": int(key), "name": rules["name"]} for key, rules in kept.items()])
        if method != "POST" and number not in kept:
            return Response(404, {"message": "Not Found"})
        if method != "GET":
            kept[number] = {**body, "id": int(number)}
        return Response(201 if method == "POST" else 200, kept[number])

    def _environments(self, method: str, body: Any, name: str | None = None) -> Response:
        kept = self._kept["environments"]
        if name is None:
            return Response(200, {"total_count": len(kept), "environments": list(kept.values())})
        if method == "PUT":
            kept[name] = {"name": unquote(name), "protection_rules": _protection_rules(body or {}), **(body or {})}
        return Response(200, kept[name]) if name in kept else Response(404, {"message": "Not Found"})

    def _branch_policies(self, method: str, body: Any, name: str, number: str | None = None) -> Response:
        kept = self._kept["policies"].setdefault(name, {})
        if name not in self._kept["environments"]:
            return Response(404, {"message": "Not Found"})
        if method == "POST":
            number = str(next(self._ids))
            kept[number] = {**body, "id": int(number)}
            return Response(200, kept[number])
        if method == "DELETE":
            return Response(204 if kept.pop(number, None) else 404)
        return Response(200, {"total_count": len(kept), "branch_policies": list(kept.values())})

    def _oidc(self, _method: str, _body: Any) -> Response:
        return Response(200, {"use_default": True, "sub_claim_prefix": self.sub_claim_prefix})

    def _workflow_permissions(self, _method: str, _body: Any) -> Response:
        values = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": self.may_open_pulls}
        return Response(200, values)

    def _workflow_runs(self, _method: str, _body: Any, workflow: str) -> Response:
        return Response(200, {"total_count": len(self.workflow_runs), "workflow_runs": self.workflow_runs})

    def _variables(self, method: str, body: Any, name: str | None = None) -> Response:
        kept = self._kept["variables"]
        if method == "POST":
            if body["name"] in kept:
                return Response(409, {"message": "Already exists"})
            kept[body["name"]] = body
            return Response(201, {})
        if name is None:
            return Response(200, {"total_count": len(kept), "variables": list(kept.values())})
        if name not in kept:
            return Response(404, {"message": "Not Found"})
        if method == "PATCH":
            kept[name] |= body
            return Response(204)
        return Response(200, kept[name])


def _protection_rules(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of an environment as GitHub lists them, from the body that set them."""
    rules: list[dict[str, Any]] = []
    if "wait_timer" in body:
        rules.append({"type": "wait_timer", "wait_timer": body["wait_timer"]})
    if reviewers := body.get("reviewers"):
        listed = [{"type": each["type"], "reviewer": {"id": each["id"]}} for each in reviewers]
        rules.append({"type": "required_reviewers", "reviewers": listed, "prevent_self_review": False})
    return rules


ENDPOINTS: tuple[tuple[str, Callable[..., Response | None]], ...] = (
    ("", Backend._settings),
    (r"/actions/artifacts", Backend._list_artifacts),
    (r"/actions/runs/(\d+)/artifacts", Backend._list_artifacts),
    (r"/actions/artifacts/(\d+)/zip", Backend._artifact_zip),
    (r"/actions/workflows/([\w.-]+)/dispatches", Backend._dispatch),
    (r"/check-runs", Backend._create_check),
    (r"/commits/([0-9a-f]+)/check-runs", Backend._list_checks),
    (r"/commits/([0-9a-f]+)/pulls", Backend._pulls_of),
    (r"/rulesets(?:/(\d+))?", Backend._rulesets),
    (r"/environments(?:/([^/]+))?", Backend._environments),
    (r"/environments/([^/]+)/deployment-branch-policies(?:/(\d+))?", Backend._branch_policies),
    (r"/actions/oidc/customization/sub", Backend._oidc),
    (r"/actions/permissions/workflow", Backend._workflow_permissions),
    (r"/actions/workflows/([\w.-]+)/runs", Backend._workflow_runs),
    (r"/actions/variables(?:/(\w+))?", Backend._variables),
)
