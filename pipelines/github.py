"""The calls of GitHub's REST API that are in use: time-outs, retries, pages, and errors that say what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import requests

from pipelines.errors import InputError, Refused, Unreachable

API = "https://api.github.com"
VERSION = "2022-11-28"
TIMEOUT = (10, 30)  # seconds to connect, and between two bytes of an answer
TRIES = 5
LONGEST_WAIT = 60.0
Json = Any


class GitHub:
    """A repository on GitHub.

    Attributes:
        repository: OWNER/NAME.
    """

    def __init__(
        self, repository: str, token: str, api: str = API, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Talk to `api` with `token`; nothing is sent yet."""
        self.repository = repository
        self._api = api.rstrip("/")
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = True
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "X-GitHub-Api-Version": VERSION,
                "User-Agent": "mainline",
            }
        )

    @staticmethod
    def from_environment() -> GitHub:
        """The repository that GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL name.

        Raises:
            InputError: if one of the first two is not set.
        """
        lacking = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
        if lacking:
            raise InputError(
                f"{' and '.join(lacking)} not set",
                "Run this in GitHub Actions, or set them (a token: `gh auth token`).",
            )
        return GitHub(
            os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"], os.environ.get("GITHUB_API_URL") or API
        )

    # Pull requests and comments

    def pull(self, number: int) -> Json:
        """A pull request."""
        return self._call("GET", f"pulls/{number}")

    def comments(self, number: int) -> Iterator[Json]:
        """All comments of an issue or pull request, the oldest first."""
        return self._pages(f"issues/{number}/comments")

    def create_comment(self, number: int, body: str) -> Json:
        """Comment on an issue or pull request."""
        return self._call("POST", f"issues/{number}/comments", {"body": body})

    def update_comment(self, comment: int, body: str) -> Json:
        """Replace the text of a comment."""
        return self._call("PATCH", f"issues/comments/{comment}", {"body": body})

    # Checks, workflows and artifacts

    def create_check(self, sha: str, name: str, conclusion: str, title: str, summary: str) -> Json:
        """Put a completed check run on a commit."""
        output = {"title": title, "summary": summary}
        body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion, "output": output}
        return self._call("POST", "check-runs", body)

    def checks(self, sha: str) -> Iterator[Json]:
        """The newest check run of each name on a commit."""
        return self._pages(f"commits/{sha}/check-runs", key="check_runs")

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str] | None = None) -> None:
        """Start a workflow (its file name) on a branch."""
        body: dict[str, Any] = {"ref": ref} | ({"inputs": dict(inputs)} if inputs else {})
        self._call("POST", f"actions/workflows/{workflow}/dispatches", body)

    def artifacts(self, run: int) -> Iterator[Json]:
        """The artifacts of a workflow run."""
        return self._pages(f"actions/runs/{run}/artifacts", key="artifacts")

    def download_artifact(self, artifact: int, limit: int) -> bytes:
        """The zip of an artifact.

        Raises:
            Refused: if it has more than `limit` bytes, whatever its headers say.
        """
        path = f"actions/artifacts/{artifact}/zip"
        with self._answer("GET", self._url(path), None, stream=True) as answer:
            content = b""
            for part in answer.iter_content(1 << 16):
                content += part
                if len(content) > limit:
                    raise Refused(
                        f"artifact {artifact} has more than {limit:,} bytes", "It is not posted; look into the run."
                    )
        return content

    # Issues

    def issues(self, label: str) -> Iterator[Json]:
        """Open issues with a label, pull requests left out."""
        found = self._pages("issues", {"labels": label, "state": "open"})
        return (issue for issue in found if "pull_request" not in issue)

    def create_issue(self, title: str, body: str, labels: list[str]) -> Json:
        """Open an issue."""
        return self._call("POST", "issues", {"title": title, "body": body, "labels": labels})

    def update_issue(self, number: int, **fields: Any) -> Json:
        """Change an issue's title, body or state."""
        return self._call("PATCH", f"issues/{number}", fields)

    # What `make github-setup` applies

    def repository_settings(self) -> Json:
        """The repository itself."""
        return self._call("GET", "")

    def update_repository(self, **fields: Any) -> Json:
        """Change settings of the repository."""
        return self._call("PATCH", "", fields)

    def rulesets(self) -> Iterator[Json]:
        """The repository's own rulesets, in short."""
        return self._pages("rulesets", {"includes_parents": "false"})

    def ruleset(self, number: int) -> Json:
        """A ruleset with its rules."""
        return self._call("GET", f"rulesets/{number}")

    def create_ruleset(self, document: Json) -> Json:
        """Make a ruleset."""
        return self._call("POST", "rulesets", document)

    def update_ruleset(self, number: int, document: Json) -> Json:
        """Replace a ruleset."""
        return self._call("PUT", f"rulesets/{number}", document)

    def labels(self) -> Iterator[Json]:
        """All labels."""
        return self._pages("labels")

    def create_label(self, name: str, color: str, description: str) -> Json:
        """Make a label; `color` is six hexadecimal digits."""
        return self._call("POST", "labels", {"name": name, "color": color, "description": description})

    def update_label(self, name: str, color: str, description: str) -> Json:
        """Change a label."""
        return self._call("PATCH", f"labels/{quote(name, safe='')}", {"color": color, "description": description})

    def environments(self) -> list[Json]:
        """All environments."""
        return list(self._pages("environments", key="environments"))

    def put_environment(self, name: str, settings: Json) -> Json:
        """Make or change an environment."""
        return self._call("PUT", f"environments/{quote(name, safe='')}", settings)

    def variables(self) -> Iterator[Json]:
        """All variables of Actions."""
        return self._pages("actions/variables", key="variables")

    def create_variable(self, name: str, value: str) -> Json:
        """Make a variable of Actions."""
        return self._call("POST", "actions/variables", {"name": name, "value": value})

    # How a call is made

    def _url(self, path: str) -> str:
        return f"{self._api}/repos/{self.repository}/{path}".rstrip("/")

    def _call(self, method: str, path: str, body: Json = None) -> Json:
        answer = self._answer(method, self._url(path), body)
        return answer.json() if answer.content else None

    def _pages(self, path: str, query: Mapping[str, str] | None = None, key: str | None = None) -> Iterator[Json]:
        url: str | None = self._url(path)
        parameters: dict[str, str] | None = {"per_page": "100", **(query or {})}
        while url:
            answer = self._answer("GET", url, None, params=parameters)
            document = answer.json()
            yield from document[key] if key else document
            url, parameters = answer.links.get("next", {}).get("url"), None

    def _answer(self, method: str, url: str, body: Json, **options: Any) -> requests.Response:
        """An answer below 400, after retries.

        Raises:
            Unreachable: if there is none, or GitHub is busy or broken for longer than the retries last.
            Refused: if the token may not do it.
            InputError: if GitHub refuses the request itself.
        """
        said = ""
        for attempt in range(TRIES):
            try:
                answer = self._session.request(method, url, json=body, timeout=TIMEOUT, **options)
            except requests.RequestException as error:
                said, wait = type(error).__name__, 2.0**attempt
            else:
                if answer.status_code < 400:
                    return answer
                said, pause = _reason(answer), self._wait(answer, attempt)
                if pause is None:
                    raise _error(method, url, answer, said)
                wait = pause
            if attempt + 1 < TRIES:
                self._sleep(wait)
        raise Unreachable(f"GitHub: {method} {_path(url)}: {said}", "Run it again when githubstatus.com is green.")

    def _wait(self, answer: requests.Response, attempt: int) -> float | None:
        """Seconds to the next try, or None where another try cannot help.

        A secondary rate limit is a 403 or 429 with Retry-After; a primary one has no calls left and says when it ends.
        """
        if answer.status_code >= 500:
            return 2.0**attempt
        if answer.status_code not in (403, 429):
            return None
        after = answer.headers.get("Retry-After", "")
        if after.isdigit():
            return min(float(after), LONGEST_WAIT)
        if answer.headers.get("X-RateLimit-Remaining") == "0":
            reset = answer.headers.get("X-RateLimit-Reset", "")
            return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT) if reset.isdigit() else LONGEST_WAIT
        limited = answer.status_code == 429 or "secondary rate limit" in _reason(answer).lower()
        return min(LONGEST_WAIT, 10 * 2.0**attempt) if limited else None


def _reason(answer: requests.Response) -> str:
    """GitHub's own words, in one short line."""
    try:
        document = answer.json()
        message = str(document.get("message", "")) if isinstance(document, dict) else ""
    except ValueError:
        message = ""
    return f"{answer.status_code} {message[:200]}".strip()


def _error(method: str, url: str, answer: requests.Response, said: str) -> Exception:
    what = f"GitHub: {method} {_path(url)}: {said}"
    if answer.status_code in (401, 403):
        return Refused(what, "Give the job the permission that docs/pull-request.md names for it.")
    return InputError(what, "Look at what the request names: it is gone, or GitHub does not take it.")


def _path(url: str) -> str:
    return "/" + url.split("://", 1)[-1].partition("/")[2]
