"""The calls of GitHub's REST API that are in use. How they are sent and retried: transport.py."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import requests

from pipelines.cli.errors import InputError, Refused
from pipelines.github.transport import API, TIMEOUT, Json, Transport

_REPOSITORY = re.compile(r"(?!\.+(?:/|$))[\w.-]+/(?!\.+$)[\w.-]+", re.ASCII)


class GitHub:
    """A repository on GitHub.

    Every call raises Unreachable, Refused or InputError as `transport.Transport.request` does.

    Attributes:
        repository: OWNER/NAME.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        api: str = API,
        sleep: Callable[[float], None] = time.sleep,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        """Check the arguments; nothing is sent yet.

        Raises:
            InputError: if one of them is invalid.
        """
        if not _REPOSITORY.fullmatch(repository):
            raise InputError(f"GITHUB_REPOSITORY is {repository!r}, not OWNER/NAME", "Set it, as in acme/fraud.")
        if not re.fullmatch(r"[!-~]+", token):
            raise InputError("GITHUB_TOKEN is empty, or has a blank or a line end", "Set it again: `gh auth token`.")
        if not re.match(r"https?://[\w.-]", api):
            raise InputError(f"GITHUB_API_URL is {api!r}, not a URL", f"Set it, as in {API}.")
        self.repository = repository
        self._transport = Transport(repository, token, api, sleep, timeout)

    @staticmethod
    def from_environment(default: Callable[[], str] = str) -> GitHub:
        """Return the repository that GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL name.

        Args:
            default: returns the repository where GITHUB_REPOSITORY is not set.

        Raises:
            InputError: if repository or token is missing or invalid.
        """
        repository = os.environ.get("GITHUB_REPOSITORY") or default()
        token = os.environ.get("GITHUB_TOKEN", "")
        if not (repository and token):
            values = {"GITHUB_REPOSITORY": repository, "GITHUB_TOKEN": token}
            missing = " and ".join(name for name, value in values.items() if not value)
            raise InputError(f"{missing} not set", "Run in GitHub Actions, or set them (a token: `gh auth token`).")
        return GitHub(repository, token, os.environ.get("GITHUB_API_URL") or API)

    # Pull requests and comments

    def pull(self, number: int) -> Json:
        """Return a pull request."""
        return self._transport.call("GET", f"pulls/{number}")

    def open_pulls(self, branch: str) -> Iterator[Json]:
        """List the open pull requests of a branch of this repository."""
        owner = self.repository.partition("/")[0]
        pulls = self._transport.pages("pulls", {"state": "open", "head": f"{owner}:{branch}"})
        return (pull for pull in pulls if pull["head"]["ref"] == branch)

    def create_pull(self, title: str, head: str, base: str, body: str) -> Json:
        """Open a pull request of a branch of this repository."""
        return self._transport.call("POST", "pulls", {"title": title, "head": head, "base": base, "body": body})

    def commit_pulls(self, sha: str) -> Iterator[Json]:
        """List the pull requests of a commit; for a commit of the default branch, the pull request that was merged."""
        return self._transport.pages(f"commits/{sha}/pulls")

    def reviews(self, number: int) -> Iterator[Json]:
        """List all reviews of a pull request, the oldest first."""
        return self._transport.pages(f"pulls/{number}/reviews")

    def comments(self, number: int) -> Iterator[Json]:
        """List all comments of an issue or pull request, the oldest first."""
        return self._transport.pages(f"issues/{number}/comments")

    def create_comment(self, number: int, body: str) -> Json:
        """Comment on an issue or pull request."""
        return self._transport.call("POST", f"issues/{number}/comments", {"body": body})

    def update_comment(self, comment: int, body: str) -> Json:
        """Replace the text of a comment."""
        return self._transport.call("PATCH", f"issues/comments/{comment}", {"body": body})

    def delete_comment(self, comment: int) -> None:
        """Delete a comment; do nothing if it is already gone."""
        self._transport.call("DELETE", f"issues/comments/{comment}")

    # Checks, workflows and artifacts

    def create_check(self, sha: str, name: str, conclusion: str, title: str, summary: str) -> Json:
        """Create a completed check run on a commit."""
        output = {"title": title, "summary": summary}
        body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion, "output": output}
        return self._transport.call("POST", "check-runs", body)

    def checks(self, sha: str) -> Iterator[Json]:
        """List the newest check run of each name on a commit."""
        return self._transport.pages(f"commits/{sha}/check-runs", key="check_runs")

    def dispatch(self, workflow: str, ref: str) -> None:
        """Start a workflow (its file name) on a branch."""
        self._transport.call("POST", f"actions/workflows/{workflow}/dispatches", {"ref": ref})

    def artifacts(self, run: int) -> Iterator[Json]:
        """List the artifacts of a workflow run."""
        return self._transport.pages(f"actions/runs/{run}/artifacts", key="artifacts")

    def artifacts_named(self, name: str) -> Iterator[Json]:
        """List the artifacts with a name, of all runs, the newest first."""
        return self._transport.pages("actions/artifacts", {"name": name}, key="artifacts")

    def download_artifact(self, artifact: int, limit: int) -> bytes:
        """Download the zip of an artifact, which another host stores.

        Raises:
            Refused: if it has more than `limit` bytes, whatever its headers claim.
        """

        def read(response: requests.Response) -> bytes:
            content = bytearray()
            for part in response.iter_content(1 << 16):
                content += part
                if len(content) > limit:
                    raise Refused(f"artifact {artifact} has more than {limit:,} bytes", "See the log of its run.")
            return bytes(content)

        return self._transport.request("GET", f"actions/artifacts/{artifact}/zip", read, stream=True)

    # Releases

    def release(self, tag: str) -> Json | None:
        """Return the published release of a tag, or None."""
        path = f"releases/tags/{quote(tag, safe='')}"
        read = lambda response: response.json() if response.ok else None  # noqa: E731
        return self._transport.request("GET", path, read, accept_404=True)

    def create_release(self, tag: str, title: str, body: str) -> Json:
        """Publish a release of a tag that is already on GitHub: for another, GitHub would create a tag itself."""
        return self._transport.call("POST", "releases", {"tag_name": tag, "name": title, "body": body})

    # Issues

    def issues(self, label: str) -> Iterator[Json]:
        """List the open issues with a label, without pull requests."""
        issues = self._transport.pages("issues", {"labels": label, "state": "open"})
        return (issue for issue in issues if "pull_request" not in issue)

    def create_issue(self, title: str, body: str, labels: list[str]) -> Json:
        """Open an issue."""
        return self._transport.call("POST", "issues", {"title": title, "body": body, "labels": labels})

    def update_issue(self, number: int, **fields: Any) -> Json:
        """Change an issue's title, body or state."""
        return self._transport.call("PATCH", f"issues/{number}", fields)

    # Settings, for `make github-setup`

    def repository_settings(self) -> Json:
        """Return the settings of the repository."""
        return self._transport.call("GET", "")

    def update_repository(self, **fields: Any) -> Json:
        """Change settings of the repository."""
        return self._transport.call("PATCH", "", fields)

    def rulesets(self) -> Iterator[Json]:
        """List the repository's own rulesets, without their rules."""
        return self._transport.pages("rulesets", {"includes_parents": "false"})

    def ruleset(self, number: int) -> Json:
        """Return a ruleset with its rules."""
        return self._transport.call("GET", f"rulesets/{number}")

    def create_ruleset(self, document: Json) -> Json:
        """Create a ruleset."""
        return self._transport.call("POST", "rulesets", document)

    def update_ruleset(self, number: int, document: Json) -> Json:
        """Replace a ruleset."""
        return self._transport.call("PUT", f"rulesets/{number}", document)

    def labels(self) -> Iterator[Json]:
        """List all labels."""
        return self._transport.pages("labels")

    def create_label(self, name: str, color: str, description: str) -> Json:
        """Create a label; `color` is six hexadecimal digits."""
        return self._transport.call("POST", "labels", {"name": name, "color": color, "description": description})

    def update_label(self, name: str, color: str, description: str) -> Json:
        """Change a label."""
        return self._transport.call(
            "PATCH", f"labels/{quote(name, safe='')}", {"color": color, "description": description}
        )

    def environments(self) -> list[Json]:
        """List all environments."""
        return list(self._transport.pages("environments", key="environments"))

    def put_environment(self, name: str, settings: Json) -> Json:
        """Create or change an environment."""
        return self._transport.call("PUT", f"environments/{quote(name, safe='')}", settings)

    def variables(self) -> Iterator[Json]:
        """List all variables of Actions."""
        return self._transport.pages("actions/variables", key="variables")

    def create_variable(self, name: str, value: str) -> Json:
        """Create a variable of Actions."""
        return self._transport.call("POST", "actions/variables", {"name": name, "value": value})

    def update_variable(self, name: str, value: str) -> Json:
        """Change a variable of Actions."""
        return self._transport.call(
            "PATCH", f"actions/variables/{quote(name, safe='')}", {"name": name, "value": value}
        )


def run_url(run: int | None = None) -> str:
    """Return the URL of a workflow's run, by default of this run."""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    number = run or os.environ.get("GITHUB_RUN_ID", "")
    return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{number}"
