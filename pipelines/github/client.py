"""The calls of GitHub's REST API that are in use: time-outs, retries, pages, and errors that say what to do.

A call is tried again after a broken connection, a 5xx answer and a rate limit, for PATIENCE seconds together. A POST
makes something new, and what GitHub may have done is not done twice: it is tried again only where it was not sent, or
where GitHub says that it did not do it (429, 403 of a rate limit, 500, 503). After a read time-out, a connection
dropped later than that, 502 or 504 (a gateway that stopped waiting), it ends with Unreachable; every verb looks for
what is there before it makes anything, so it can be run again.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from pipelines.cli.errors import InputError, MainlineError, Refused, Unreachable

API = "https://api.github.com"
VERSION = "2022-11-28"
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes of an answer
TRIES = 5
PATIENCE = 300.0  # seconds that one call waits at most, all its tries together
Json = Any
Read = TypeVar("Read")
_SLUG = re.compile(r"(?!\.+(?:/|$))[\w.-]+/(?!\.+$)[\w.-]+", re.ASCII)
_NOT_DONE = (500, 503)  # of the 5xx, those after which a POST can be sent again


class GitHub:
    """A repository on GitHub.

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
        """Talk to `api` with `token`; nothing is sent yet.

        Raises:
            InputError: if one of them cannot be right.
        """
        if not _SLUG.fullmatch(repository):
            raise InputError(f"GITHUB_REPOSITORY is {repository!r}, not OWNER/NAME", "Set it, as in acme/fraud.")
        if not re.fullmatch(r"[!-~]+", token):
            raise InputError("GITHUB_TOKEN holds a blank, a line end or nothing", "Set it anew: `gh auth token`.")
        if not re.match(r"https?://[\w.-]", api):
            raise InputError(f"GITHUB_API_URL is {api!r}, no address", f"Set it, as in {API}.")
        self.repository = repository
        self._token = token
        self._api = api.rstrip("/")
        self._sleep = sleep
        self._timeout = timeout
        self._session = requests.Session()
        # Not a header of the session, which a .netrc would replace. requests takes it away on the way to another host.
        self._session.auth = self._sign
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": VERSION,
                "User-Agent": "mainline",
            }
        )

    @staticmethod
    def from_environment(default: Callable[[], str] = str) -> GitHub:
        """The repository that GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL name.

        Args:
            default: gives the repository where GITHUB_REPOSITORY is not set.

        Raises:
            InputError: if one of the first two is not set.
        """
        repository = os.environ.get("GITHUB_REPOSITORY") or default()
        token = os.environ.get("GITHUB_TOKEN", "")
        if not (repository and token):
            lacking = [
                name for name, value in (("GITHUB_REPOSITORY", repository), ("GITHUB_TOKEN", token)) if not value
            ]
            raise InputError(
                f"{' and '.join(lacking)} not set",
                "Run this in GitHub Actions, or set them (a token: `gh auth token`).",
            )
        return GitHub(repository, token, os.environ.get("GITHUB_API_URL") or API)

    # Pull requests and comments

    def pull(self, number: int) -> Json:
        """A pull request."""
        return self._call("GET", f"pulls/{number}")

    def open_pulls(self, branch: str) -> Iterator[Json]:
        """Open pull requests of a branch of this repository."""
        owner = self.repository.partition("/")[0]
        found = self._pages("pulls", {"state": "open", "head": f"{owner}:{branch}"})
        return (pull for pull in found if pull["head"]["ref"] == branch)

    def create_pull(self, title: str, head: str, base: str, body: str) -> Json:
        """Open a pull request of a branch of this repository."""
        return self._call("POST", "pulls", {"title": title, "head": head, "base": base, "body": body})

    def commit_pulls(self, sha: str) -> Iterator[Json]:
        """The pull requests of a commit; for one on the default branch, the merged one that brought it there."""
        return self._pages(f"commits/{sha}/pulls")

    def reviews(self, number: int) -> Iterator[Json]:
        """All reviews of a pull request, the oldest first."""
        return self._pages(f"pulls/{number}/reviews")

    def comments(self, number: int) -> Iterator[Json]:
        """All comments of an issue or pull request, the oldest first."""
        return self._pages(f"issues/{number}/comments")

    def create_comment(self, number: int, body: str) -> Json:
        """Comment on an issue or pull request."""
        return self._call("POST", f"issues/{number}/comments", {"body": body})

    def update_comment(self, comment: int, body: str) -> Json:
        """Replace the text of a comment."""
        return self._call("PATCH", f"issues/comments/{comment}", {"body": body})

    def delete_comment(self, comment: int) -> None:
        """Remove a comment; one that is gone already is fine."""
        self._call("DELETE", f"issues/comments/{comment}")

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

    def artifacts_named(self, name: str) -> Iterator[Json]:
        """The artifacts of that name of all runs, the newest first."""
        return self._pages("actions/artifacts", {"name": name}, key="artifacts")

    def download_artifact(self, artifact: int, limit: int) -> bytes:
        """The zip of an artifact, which another host holds.

        Raises:
            Refused: if it has more than `limit` bytes, whatever its headers say.
        """

        def read(answer: requests.Response) -> bytes:
            content = bytearray()
            for part in answer.iter_content(1 << 16):
                content += part
                if len(content) > limit:
                    raise Refused(
                        f"artifact {artifact} has more than {limit:,} bytes", "It is not posted; look into the run."
                    )
            return bytes(content)

        return self._try("GET", self._url(f"actions/artifacts/{artifact}/zip"), read, stream=True)

    # Releases

    def release(self, tag: str) -> Json | None:
        """The published release of a tag, or None."""
        url = self._url(f"releases/tags/{quote(tag, safe='')}")
        return self._try("GET", url, lambda answer: answer.json() if answer.ok else None, or_none=True)

    def create_release(self, tag: str, title: str, body: str) -> Json:
        """Publish a release of a tag that is on GitHub already; for one that is not, GitHub would make a tag itself."""
        return self._call("POST", "releases", {"tag_name": tag, "name": title, "body": body})

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

    def update_variable(self, name: str, value: str) -> Json:
        """Change a variable of Actions."""
        return self._call("PATCH", f"actions/variables/{quote(name, safe='')}", {"name": name, "value": value})

    # How a call is made

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _url(self, path: str) -> str:
        return f"{self._api}/repos/{self.repository}/{path}".rstrip("/")

    def _call(self, method: str, path: str, body: Json = None) -> Json:
        return self._try(method, self._url(path), lambda answer: answer.json() if answer.content else None, json=body)

    def _pages(self, path: str, query: Mapping[str, str] | None = None, key: str | None = None) -> Iterator[Json]:
        url: str | None = self._url(path)
        parameters: dict[str, str] | None = {"per_page": "100", **(query or {})}
        while url:
            document, following = self._try(
                "GET", url, lambda answer: (answer.json(), answer.links.get("next", {}).get("url")), params=parameters
            )
            page = document.get(key) if key and isinstance(document, dict) else document
            if not isinstance(page, list):
                raise Unreachable(f"GitHub: GET {_path(url)}: not a list", "Look at what GITHUB_API_URL names.")
            yield from page
            url, parameters = urljoin(url, following) if following else None, None
            if url and urlsplit(url)[:2] != urlsplit(self._api)[:2]:
                # The token is for the one host.
                raise InputError(
                    f"GitHub: GET {_path(self._url(path))}: its next page is on another host",
                    f"Set GITHUB_API_URL to the address by which the server knows itself; it is {self._api}.",
                )

    def _try(
        self,
        method: str,
        url: str,
        read: Callable[[requests.Response], Read],
        or_none: bool = False,
        **options: Any,
    ) -> Read:
        """What `read` makes of an answer, after retries (see the module's docstring).

        Args:
            or_none: whether a 404 is an answer to read, too.

        Raises:
            Unreachable: if there is no answer, or GitHub is busy or broken for longer than the retries last.
            Refused: if the token may not do it.
            InputError: if GitHub refuses the request itself.
        """
        waited, unsure = 0.0, False
        what, remedy = f"GitHub: {method} {_path(url)}", "Run it again when githubstatus.com is green."
        for attempt in range(TRIES):
            wait = 2.0**attempt
            try:
                # A POST that follows a redirect becomes a GET, and the answer to that looks like success.
                with self._session.request(
                    method, url, timeout=self._timeout, allow_redirects=method == "GET", **options
                ) as answer:
                    # Of a DELETE that is what was asked.
                    gone = answer.status_code == 404 and (or_none or method == "DELETE")
                    if answer.status_code < 300 or gone:
                        return read(answer)
                    said = _reason(answer).replace(self._token, "***")
                    pause = _wait(answer, attempt, waited)
                    if pause is None:
                        raise _error(f"{what}: {said}", answer.status_code)
                    wait, unsure = pause, answer.status_code >= 500 and answer.status_code not in _NOT_DONE
            except requests.exceptions.InvalidURL as error:
                raise InputError(f"GITHUB_API_URL is {self._api!r}, no address", f"Set it, as in {API}.") from error
            except requests.RequestException as error:
                said, unsure = type(error).__name__, _may_have_arrived(error)
            if unsure and method == "POST":
                said += "; it may have been done all the same"
                break
            if waited + wait > PATIENCE:
                remedy = f"GitHub asks for {wait / 60:.0f} minutes of patience; run it again after that."
                break
            if attempt + 1 < TRIES:
                print(f"{what}: {said}; trying again in {wait:.0f} s", file=sys.stderr)
                self._sleep(wait)
                waited += wait
        raise Unreachable(f"{what}: {said}", remedy)


def run_url(run: int | None = None) -> str:
    """The page of a workflow's run, by default of this one."""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    number = run or os.environ.get("GITHUB_RUN_ID", "")
    return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{number}"


def _wait(answer: requests.Response, attempt: int, waited: float) -> float | None:
    """Seconds to the next try, or None where another try cannot help.

    A secondary rate limit is a 403 or 429, mostly with Retry-After; a primary one has no calls left and says when it
    ends. See GitHub's "Rate limits for the REST API", which asks for a minute where nothing is said, then for more.
    """
    broken = answer.status_code >= 500
    if not broken and answer.status_code not in (403, 429):
        return None
    after = answer.headers.get("Retry-After", "")
    if after.isdecimal():
        return float(after)
    if broken:
        return 2.0**attempt
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if answer.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return max(float(reset) - time.time() + 1.0, 1.0)
    limited = answer.status_code == 429 or "rate limit" in _reason(answer).lower()
    return max(60.0, 2 * waited) if limited else None


def _may_have_arrived(error: requests.RequestException) -> bool:
    """Whether GitHub may have got the request, although no answer came."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return not isinstance(reason, NewConnectionError)


def _reason(answer: requests.Response) -> str:
    """GitHub's own words, in one short line."""
    try:
        document = answer.json()
    except (ValueError, requests.RequestException):
        document = None
    words = []
    if isinstance(document, dict):
        faults = document.get("errors")
        words = [_fault(fault) for fault in faults] if isinstance(faults, list) else []
        words = [str(document.get("message") or ""), "; ".join(filter(None, words))]
    return " ".join(f"{answer.status_code} {': '.join(filter(None, words))[:300]}".split())


def _fault(fault: Json) -> str:
    if isinstance(fault, dict):
        return str(fault.get("message") or " ".join(str(fault[key]) for key in ("field", "code") if key in fault))
    return str(fault or "")


def _error(what: str, status: int) -> MainlineError:
    if status in (401, 403):
        return Refused(what, "Give the job the permission that docs/pull-request.md names for it.")
    if status < 400:
        return InputError(what, "The repository has moved: set GITHUB_REPOSITORY (and origin) to its new name.")
    return InputError(what, "Look at what the request names: it is gone, or GitHub does not take it.")


def _path(url: str) -> str:
    return "/" + url.split("://", 1)[-1].partition("/")[2].partition("?")[0]
