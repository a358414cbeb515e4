"""The calls of GitHub's REST API that several verbs use. How they are sent and retried: transport.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import requests

from pipelines.cli.errors import InputError, Refused
from pipelines.github.transport import API, Json, Transport


class GitHub(Transport):
    """A repository on GitHub.

    Every call raises Unreachable, Refused or InputError as `transport.Transport.request` does.
    """

    @staticmethod
    def from_environment(default: Callable[[], str] = str) -> GitHub:
        """Return the repository that GITHUB_REPOSITORY (else `default`), GITHUB_TOKEN and GITHUB_API_URL name.

        Raises InputError if repository or token is missing or invalid.
        """
        repository = os.environ.get("GITHUB_REPOSITORY") or default()
        token = os.environ.get("GITHUB_TOKEN", "")
        values = {"GITHUB_REPOSITORY": repository, "GITHUB_TOKEN": token}
        if missing := [name for name, value in values.items() if not value]:
            remedy = "Run in GitHub Actions, or set them (a token: `gh auth token`)."
            raise InputError(f"{' and '.join(missing)} not set", remedy)
        return GitHub(repository, token, os.environ.get("GITHUB_API_URL") or API)

    # Pull requests and comments

    def pull(self, number: int) -> Json:
        return self.call("GET", f"pulls/{number}")

    def open_pulls(self, branch: str) -> Iterator[Json]:
        """List the open pull requests of a branch of this repository."""
        owner = self.repository.partition("/")[0]
        pulls = self.pages("pulls", state="open", head=f"{owner}:{branch}")
        return (pull for pull in pulls if pull["head"]["ref"] == branch)

    def create_pull(self, title: str, head: str, base: str, body: str) -> Json:
        """Open a pull request; with BOT_TOKEN, the token of an app, as that app: workflows then run for it."""
        bot = GitHub(self.repository, os.environ["BOT_TOKEN"], self._api) if os.environ.get("BOT_TOKEN") else self
        return bot.call("POST", "pulls", {"title": title, "head": head, "base": base, "body": body})

    def commit_pulls(self, sha: str) -> Iterator[Json]:
        """List the pull requests of a commit; for a commit of the default branch, the pull request that was merged."""
        return self.pages(f"commits/{sha}/pulls")

    def reviews(self, number: int) -> Iterator[Json]:
        """List all reviews of a pull request, the oldest first."""
        return self.pages(f"pulls/{number}/reviews")

    def comments(self, number: int) -> Iterator[Json]:
        """List all comments of an issue or pull request, the oldest first."""
        return self.pages(f"issues/{number}/comments")

    def create_comment(self, number: int, body: str) -> Json:
        return self.call("POST", f"issues/{number}/comments", {"body": body})

    def update_comment(self, comment: int, body: str) -> Json:
        return self.call("PATCH", f"issues/comments/{comment}", {"body": body})

    def delete_comment(self, comment: int) -> None:
        """Delete a comment; do nothing if it is already gone."""
        self.call("DELETE", f"issues/comments/{comment}")

    # Checks, workflows and artifacts

    def create_check(self, sha: str, name: str, conclusion: str, title: str, summary: str) -> Json:
        """Create a completed check run on a commit."""
        output = {"title": title, "summary": summary}
        body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion, "output": output}
        return self.call("POST", "check-runs", body)

    def checks(self, sha: str) -> Iterator[Json]:
        """List the newest check run of each name on a commit."""
        return self.pages(f"commits/{sha}/check-runs", key="check_runs")

    def dispatch(self, workflow: str, ref: str, inputs: dict[str, str] | None = None) -> None:
        """Start a workflow (its file name) on a branch."""
        body = {"ref": ref, **({"inputs": inputs} if inputs else {})}
        self.call("POST", f"actions/workflows/{workflow}/dispatches", body)

    def workflow_runs(self, workflow: str, sha: str) -> Iterator[Json]:
        """List the runs of a workflow (its file name) for a commit."""
        return self.pages(f"actions/workflows/{workflow}/runs", key="workflow_runs", head_sha=sha)

    def artifacts(self, run: int) -> Iterator[Json]:
        """List the artifacts of a workflow run."""
        return self.pages(f"actions/runs/{run}/artifacts", key="artifacts")

    def artifacts_named(self, name: str) -> Iterator[Json]:
        """List the artifacts with a name, of all runs, the newest first."""
        return self.pages("actions/artifacts", key="artifacts", name=name)

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

        return self.request("GET", f"actions/artifacts/{artifact}/zip", read, stream=True)

    # Releases and issues

    def release(self, tag: str) -> Json | None:
        """Return the published release of a tag, or None."""
        path = f"releases/tags/{quote(tag, safe='')}"
        read = lambda response: response.json() if response.ok else None  # noqa: E731
        return self.request("GET", path, read, accept_404=True)

    def create_release(self, tag: str, title: str, body: str) -> Json:
        """Publish a release of a tag that is already on GitHub: for another, GitHub would create a tag itself."""
        return self.call("POST", "releases", {"tag_name": tag, "name": title, "body": body})

    def issues(self, label: str) -> Iterator[Json]:
        """List the open issues with a label, without pull requests."""
        return (issue for issue in self.pages("issues", labels=label, state="open") if "pull_request" not in issue)

    def create_issue(self, title: str, body: str, labels: list[str]) -> Json:
        return self.call("POST", "issues", {"title": title, "body": body, "labels": labels})

    def update_issue(self, number: int, **fields: Any) -> Json:
        return self.call("PATCH", f"issues/{number}", fields)


def run_url(run: int | None = None) -> str:
    """Return the URL of a workflow's run, by default of this run."""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    number = run or os.environ.get("GITHUB_RUN_ID", "")
    return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{number}"
