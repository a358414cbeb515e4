"""The files of the front: HAProxy's configuration, the access keys and the certificate."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipelines.cli.errors import InputError
from pipelines.deployment.containers import PORT
from pipelines.deployment.host import Host
from pipelines.deployment.roles import SLOTS

PUBLIC_PORT, OPERATIONS_PORT = 8080, 8081  # in the front's container
DRAIN_SECONDS = 5  # beyond `serving.timeout_seconds`, until a response must have ended
SHARE_SECONDS = 60  # that a canary keeps its share without a watch
_LIMITS = {
    "connections": 2_000,  # of all clients; each takes up to 33 KB
    "replica_connections": 128,  # further requests wait in the front
    "idle_seconds": 30,
    "queue_seconds": 5,
    "errors": 5,  # in a row, until a replica gets no more requests
}
_ERRORS = {
    400: "the request is malformed, or its headers are larger than 15 KB",
    408: "the request did not arrive in time",
    413: "the body is too large",
    502: "the replica ended before its response",
    503: "no replica can respond now",
    504: "the replica did not respond in time",
}
_KEY = re.compile(r"([0-9a-f]{64})\s+([A-Za-z0-9._-]{1,64})")


def render(host: Host) -> dict[str, str]:
    """Return the front's files that only a reload reads, by name; InputError if the certificate cannot be read.

    The configuration names a hash of all of them, so that a running front can be asked which ones it has read.
    """
    serving = host.serving
    files = {} if serving.tls is None else {"tls.pem": _read("tls", serving.tls)}
    config = _TEMPLATE.render(
        limits=_LIMITS,
        errors=_ERRORS,
        slots=SLOTS,
        name=host.model_name,
        replicas=host.replicas,
        client_seconds=f"{serving.timeout_seconds:g}",
        drain_seconds=f"{drain_seconds(host):g}",
        max_body=int(serving.max_body_mb * 1e6),
        has_tls=serving.tls is not None,
        has_keys=serving.keys is not None,
        share_seconds=SHARE_SECONDS,
        sticky_header=host.sticky_header,
        fallback=serving.fallback and {**serving.fallback, "fallback": True},
        ports={"public": PUBLIC_PORT, "operations": OPERATIONS_PORT, "replica": PORT},
    )
    digest = hashlib.sha256("\0".join([config, *files.values()]).encode()).hexdigest()[:12]
    return {**files, "front.cfg": config.replace("CONFIG_DIGEST", digest)}


def digest_of(files: dict[str, str]) -> str:
    """Return the hash that a rendered configuration names."""
    (digest,) = re.findall(r"setenv CONFIG (\w+)", files["front.cfg"])
    return str(digest)


def drain_seconds(host: Host) -> float:
    """Return the seconds in which every response has ended."""
    return host.serving.timeout_seconds + DRAIN_SECONDS


def read_keys(host: Host) -> str:
    """Return the map from the digest of each access key to its name; InputError if the file is invalid.

    Without `serving.keys` it is empty, and not asked.
    """
    if host.serving.keys is None:
        return ""
    names: dict[str, str] = {}
    for number, line in enumerate(_read("keys", host.serving.keys).splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _KEY.fullmatch(text)
        if match is None or match[1] in names:
            # The line itself is not shown: somebody may have written a key in place of its digest.
            problem = "repeats a key" if match else "is not a SHA-256 in hexadecimal digits and a name"
            raise InputError(
                f"{host.serving.keys}: line {number} {problem}",
                "Write a line for each key, as docs/releases.md, Access keys, shows.",
            )
        names[match[1]] = match[2]
    return "".join(f"{digest} {name}\n" for digest, name in names.items())


def _read(key: str, path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"params.yaml: serving.{key}: {path} cannot be read: {reason}", "Fix the path.") from error


def _quote(document: Any) -> str:
    """Return a JSON text as one word of HAProxy's configuration."""
    text = json.dumps(document).replace("'", "'\\''")
    return f"'{text}'"


_environment = Environment(
    autoescape=False,  # noqa: S701 - not HTML
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_environment.filters["quote"] = _quote
_TEMPLATE = _environment.from_string((Path(__file__).parent / "front.cfg.j2").read_text(encoding="utf-8"))
