"""Sending requests to GitHub's REST API: timeouts, retries, pages, and errors that name a remedy.

A request is retried after a broken connection, a 5xx response and a rate limit, for at most PATIENCE seconds. A POST
creates something, and must not create it twice: it is retried only if it was not sent, or if GitHub's response means
that nothing was done (429, 403 of a rate limit, 500, 503). After a read timeout, a connection that broke later, 502 or
504 (a gateway that stopped waiting), a POST ends with Unreachable. Every verb looks for what exists before it creates
anything, so it can be run again.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import NewConnectionError

from pipelines.cli.errors import InputError, MainlineError, Refused, Unreachable

API = "https://api.github.com"
VERSION = "2022-11-28"
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two bytes of a response
TRIES = 5
PATIENCE = 300.0  # seconds that one request waits at most, over all its tries
Json = Any
Result = TypeVar("Result")
_REPOSITORY = re.compile(r"(?!\.+(?:/|$))[\w.-]+/(?!\.+$)[\w.-]+", re.ASCII)
_NOT_DONE = (500, 503)  # the 5xx statuses after which a POST can be sent again


class Transport:
    """Requests to one repository on GitHub, with its token.

    Raises InputError if an argument is invalid; nothing is sent yet.

    Attributes:
        repository: OWNER/NAME.
    """

    def __init__(self, repository: str, token: str, api: str = API) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise InputError(f"GITHUB_REPOSITORY is {repository!r}, not OWNER/NAME", "Set it, as in acme/fraud.")
        if not re.fullmatch(r"[!-~]+", token):
            raise InputError("GITHUB_TOKEN is empty, or has a blank or a line end", "Set it again: `gh auth token`.")
        if not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/.*)?", api):
            raise InputError(f"GITHUB_API_URL is {api!r}, not a URL", f"Set it, as in {API}.")
        self.repository = repository
        self._token = token
        self._api = api.rstrip("/")
        self._session = requests.Session()
        # Not as a header of the session, which a .netrc would replace. requests drops it on a redirect to another host.
        self._session.auth = self._add_token
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION, "User-Agent": "mainline"}
        self._session.headers.update(headers)

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """Send a request and return the JSON of its response, or None if that is empty."""
        return self.request(method, path, lambda response: response.json() if response.content else None, json=body)

    def pages(self, path: str, key: str | None = None, **query: str) -> Iterator[Json]:
        """Yield the entries of all pages of a list.

        Args:
            key: the key of the list, where the response is an object.
        """
        url: str | None = self._url(path)
        parameters: dict[str, str] | None = {"per_page": "100", **query}
        while url:
            document, next_url = self.request(
                "GET",
                url,
                lambda response: (response.json(), response.links.get("next", {}).get("url")),
                params=parameters,
            )
            page = document.get(key) if key and isinstance(document, dict) else document
            if not isinstance(page, list):
                raise Unreachable(f"GitHub: GET {urlsplit(url).path}: not a list", "Check what GITHUB_API_URL names.")
            yield from page
            url, parameters = urljoin(url, next_url) if next_url else None, None
            if url and urlsplit(url)[:2] != urlsplit(self._api)[:2]:
                # Only the API's own host may get the token.
                raise InputError(
                    f"GitHub: GET {urlsplit(self._url(path)).path}: its next page is on another host",
                    f"Set GITHUB_API_URL to the server's own URL; it is {self._api}.",
                )

    def request(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response], Result],
        accept_404: bool = False,
        **options: Any,
    ) -> Result:
        """Send a request, with the retries that this module's docstring describes, and return `read` of its response.

        Args:
            path: relative to the repository, or a URL.
            accept_404: whether `read` gets a response with status 404, too.

        Raises:
            Unreachable: if there is no response, or GitHub is busy or broken for longer than the retries last.
            Refused: if the token lacks a permission.
            InputError: if GitHub rejects the request itself.
        """
        waited, may_be_done, url = 0.0, False, self._url(path)
        request, remedy = f"GitHub: {method} {urlsplit(url).path}", "Run it again when githubstatus.com is green."
        for attempt in range(TRIES):
            wait = 2.0**attempt
            try:
                # A redirected POST would become a GET, whose response looks like success.
                with self._session.request(
                    method, url, timeout=TIMEOUT, allow_redirects=method == "GET", **options
                ) as response:
                    # What a DELETE does not find is already deleted.
                    accepted = response.status_code == 404 and (accept_404 or method == "DELETE")
                    if response.status_code < 300 or accepted:
                        return read(response)
                    reason = _reason(response).replace(self._token, "***")
                    retry_after = _retry_after(response, wait, waited)
                    if retry_after is None:
                        raise _error_for_status(f"{request}: {reason}", response.status_code)
                    wait = retry_after
                    may_be_done = response.status_code >= 500 and response.status_code not in _NOT_DONE
            except requests.exceptions.InvalidURL as error:
                raise InputError(f"GITHUB_API_URL is {self._api!r}, not a URL", f"Set it, as in {API}.") from error
            except requests.RequestException as error:
                reason, may_be_done = type(error).__name__, _may_have_arrived(error)
            if may_be_done and method == "POST":
                reason += "; GitHub may have processed it"
                break
            if waited + wait > PATIENCE:
                remedy = f"GitHub's rate limit ends in {wait / 60:.0f} minutes; run it again after that."
                break
            if attempt + 1 < TRIES:
                print(f"{request}: {reason}; trying again in {wait:.0f} s", file=sys.stderr)
                time.sleep(wait)
                waited += wait
        raise Unreachable(f"{request}: {reason}", remedy)

    def _add_token(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _url(self, path: str) -> str:
        return path if "://" in path else f"{self._api}/repos/{self.repository}/{path}".rstrip("/")


def _retry_after(response: requests.Response, wait: float, waited: float) -> float | None:
    """Return the seconds until the next try, or None where a retry cannot help.

    A secondary rate limit is a 403 or 429, mostly with Retry-After; a primary one has no remaining calls and names the
    time when it ends. Source: GitHub's "Rate limits for the REST API", which asks for a minute where the response
    names no time, and then for more.

    Args:
        wait: seconds to wait after a server error.
        waited: seconds that this request has waited so far.
    """
    is_server_error = response.status_code >= 500
    if not is_server_error and response.status_code not in (403, 429):
        return None
    retry_after = response.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        return float(retry_after)
    if is_server_error:
        return wait
    reset = response.headers.get("X-RateLimit-Reset", "")
    if response.headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return max(float(reset) - time.time() + 1.0, 1.0)
    is_limited = response.status_code == 429 or "rate limit" in _reason(response).lower()
    return max(60.0, 2 * waited) if is_limited else None


def _may_have_arrived(error: requests.RequestException) -> bool:
    """Return whether GitHub may have received the request although no response came."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return not isinstance(reason, NewConnectionError)


def _reason(response: requests.Response) -> str:
    """Return status and GitHub's error message, in one short line."""
    try:
        document = response.json()
        errors = document.get("errors")
        details = map(_error_text, errors if isinstance(errors, list) else [])
        parts = [str(document.get("message") or ""), "; ".join(filter(None, details))]
    except (ValueError, AttributeError, requests.RequestException):  # not GitHub's JSON
        parts = []
    return " ".join(f"{response.status_code} {': '.join(filter(None, parts))[:300]}".split())


def _error_text(error: Json) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if key in error))
    return str(error or "")


def _error_for_status(message: str, status: int) -> MainlineError:
    if status in (401, 403):
        return Refused(message, "Give the job the permission that docs/pull-request.md names for it.")
    if status < 400:
        return InputError(message, "The repository has moved: set GITHUB_REPOSITORY (and origin) to its new name.")
    return InputError(message, "Check that the request's target exists, and that GitHub accepts the request.")
