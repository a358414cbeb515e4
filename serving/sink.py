"""Where the prediction log goes: a folder, or a bucket of S3, Google or Azure."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from serving.errors import CannotStartError

_SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "abfs", "abfss": "abfss"}
_TIMEOUT = "10s"


class Sink(Protocol):
    """Takes whole files; a reader sees a file wholly or not at all."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file; `name` is a path with slashes below the sink's folder. Any exception is a failure."""


def sink(url: str) -> Sink:
    """The sink of a folder's path or URL, as fsspec writes them. Nothing is reached yet.

    Raises:
        CannotStartError: if the URL is of a kind that is not known, or of a file of another machine.
    """
    parts = urlsplit(url)
    if not parts.scheme:
        return Folder(Path(url))
    shown = re.sub("//[^/]*@", "//", url)  # without what stands before a host, which may be a password
    if parts.scheme == "file":
        here = parts.netloc.lower() in ("", "localhost") and parts.path.startswith("/")
        if not here or parts.query or parts.fragment:
            raise CannotStartError(f"PREDICTION_LOG={shown} is not a folder of this machine, as file:///path names one")
        return Folder(Path(unquote(parts.path)))
    if parts.scheme not in _SCHEMES or not parts.netloc:
        known = ", ".join(f"{scheme}://" for scheme in sorted(_SCHEMES))
        raise CannotStartError(
            f"PREDICTION_LOG={shown} is neither a folder nor a URL of {known} with a bucket, nor off"
        )
    return Bucket(_SCHEMES[parts.scheme] + url[len(parts.scheme) :])


class Folder:
    """A folder of a file system; made when the first file comes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside its place, and move it there."""
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.tmp")
        try:
            beside.write_bytes(content)
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


class Bucket:
    """A bucket; an object appears when it is whole. Credentials come from the environment or the machine's role."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: object = None

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        import obstore

        if self._store is None:
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
            plain_http = endpoint.startswith("http://")
            self._store = obstore.store.from_url(
                self._url,
                client_options={"timeout": _TIMEOUT, "connect_timeout": _TIMEOUT, "allow_http": plain_http},
                retry_config={"max_retries": 2},
            )
        obstore.put(self._store, name, content)  # type: ignore[arg-type]
