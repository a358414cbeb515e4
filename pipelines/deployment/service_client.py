"""The service over HTTP: its URLs, what it runs, and predictions."""

import json
import os
import re
import time
from typing import Any
from urllib.parse import urlsplit

import requests

from pipelines.cli.errors import InputError, Refused
from pipelines.deployment.containers import Container

DEFAULT_URL = "http://127.0.0.1:3000"


def service_url() -> str:
    """Return the URL of the service in production; InputError if SERVICE_URL is not a valid URL."""
    return _url("SERVICE_URL", DEFAULT_URL)


def operations_url() -> str:
    """Return the URL of the front's metrics and probes: OPERATIONS_URL, or the port after SERVICE_URL's on loopback."""
    _, port = host_and_port(service_url())
    return _url("OPERATIONS_URL", f"http://127.0.0.1:{port + 1}")


def host_and_port(url: str) -> tuple[str, int]:
    """Return host and port of a URL."""
    address = urlsplit(url)
    return address.hostname or "", address.port or (443 if address.scheme == "https" else 80)


def _url(variable: str, default: str) -> str:
    url = (os.environ.get(variable) or default).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(?:/\S*)?", url):
        shown = url.rpartition("@")[2]  # the part before it may be a password
        raise InputError(
            f"{variable} (... {shown}) is not an http(s) URL without user and password",
            f"Set it, for example to {default}.",
        )
    return url


def get_info(url: str) -> dict[str, Any]:
    """Return the response of a service's /info, or an empty dictionary without one."""
    try:
        response = requests.get(f"{url.rstrip('/')}/info", timeout=5)
        response.raise_for_status()
        return dict(response.json())
    except (requests.RequestException, ValueError, TypeError):
        return {}


def running(url: str) -> str | None:
    """Return the release id that a service's /info responds with, or None."""
    return get_info(url).get("release")


def wait_for_release(url: str, release_id: str, seconds: float, container: Container | None = None) -> bool:
    """Wait until a service's /info responds with a release id; return False after a time-out or the container's end."""
    deadline, attempt = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        if running(url) == release_id:
            return True
        attempt += 1
        # Not every time: a request to the Docker engine takes longer than one to the service.
        if container and attempt % 10 == 0 and not container.is_running():
            return False
        time.sleep(0.02)
    return False


def post_json(url: str, document: Any) -> Any:
    """Post a JSON document to the service and return its response; Refused without one."""
    headers = {"content-type": "application/json"}
    try:
        response = requests.post(url, json.dumps(document, default=str), headers=headers, timeout=30)
        if response.ok:
            return response.json()
    except (requests.RequestException, ValueError) as error:
        raise Refused(f"{url} does not respond: {error}", "Run it again.") from error
    reason = f"{url} responds with {response.status_code}: {response.text[:300]}"
    raise Refused(reason, "Fix the row of the critical case.")
