"""Where the prediction log is written: a folder, or a bucket of S3, Google Cloud or Azure."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from serving.errors import CannotStartError

_SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
_TIMEOUT = "10s"


class Folder:
    """A folder; created with the first file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which appears when it is whole; `name` is a path below the folder.

        Raises:
            OSError: if it cannot be written.
        """
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class Bucket:
    """A bucket. Credentials come from the environment or the machine's role."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: object = None

    def write(self, name: str, content: bytes) -> None:
        """Put an object, which appears when it is whole; `name` is a path below the URL.

        Raises:
            Exception: of obstore or of the storage, if it cannot be written.
        """
        import obstore

        if self._store is None:
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
            self._store = obstore.store.from_url(
                self._url,
                client_options={
                    "timeout": _TIMEOUT,
                    "connect_timeout": _TIMEOUT,
                    "allow_http": endpoint.startswith("http://"),
                },
                retry_config={"max_retries": 2},
            )
        obstore.put(self._store, name, content)  # type: ignore[arg-type]


def open_sink(url: str) -> Folder | Bucket:
    """Return the sink of a folder's path or a bucket's URL. Nothing is connected to yet.

    Raises:
        CannotStartError: if the URL is not one of a supported bucket.
    """
    parts = urlsplit(url)
    if not parts.scheme:
        return Folder(Path(url))
    if parts.scheme in _SCHEMES and parts.netloc:
        return Bucket(url)
    schemes = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
    without_password = re.sub("//[^/]*@", "//", url)
    raise CannotStartError(f"PREDICTION_LOG={without_password} is not a folder, a bucket's URL ({schemes}) or off")
