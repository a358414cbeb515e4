"""The DVC remote, where data and models are shared: whether there is one, and setting it from the environment."""

import configparser
import os
import re
from contextlib import suppress
from pathlib import Path

from pipelines.cli.errors import InputError

NAME = "storage"
URL, ENDPOINT = "DVC_REMOTE_URL", "DVC_REMOTE_ENDPOINT_URL"
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*:/*[^\s/]\S*|(?!\S*://)\S+")  # a URL with more than its scheme, or a path
_SECRET = re.compile(r"://[^/]*:[^/]*@|\?")  # a password, or a query, which may hold a token


def set_remote_from_environment(root: Path) -> None:
    """Configure the remote of DVC_REMOTE_URL and DVC_REMOTE_ENDPOINT_URL, if set: DVC itself reads neither."""
    if url := os.environ.get(URL):
        write_remote(root, url, os.environ.get(ENDPOINT) or None)


def default_remote(root: Path = Path()) -> str | None:
    """Return the name of DVC's default remote, or None. It is read without DVC, whose import takes half a second."""
    config = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error):  # DVC reports it when it reads the file
        config.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    return config.get("core", "remote", fallback=None)


def write_remote(root: Path, url: str, endpoint: str | None = None) -> None:
    """Make a URL that DVC knows, or a path, the default remote of this clone, named storage.

    `endpoint` is the address of a server that speaks S3's protocol, if it is not Amazon's. Raises InputError if an
    address is invalid or holds a secret; the message does not repeat it.
    """
    _check_address(URL, url)
    remote = {"url": url if "://" in url else os.path.normpath(root.absolute() / url)}
    if endpoint is not None:
        _check_address(ENDPOINT, endpoint)
        if not endpoint.startswith(("http://", "https://")):
            raise InputError(f"{ENDPOINT} is not an http(s) address", f"Set {ENDPOINT} to http(s)://host, or unset it.")
        remote["endpointurl"] = endpoint
    from dvc.config import Config, ConfigError

    try:
        # DVC checks the configuration before it writes.
        with Config(str(root / ".dvc"), validate=False).edit("local") as local:
            local["remote"][NAME] = remote
            local["core"]["remote"] = NAME
    except ConfigError as error:
        raise InputError(f"DVC refuses the remote: {error}", f"Fix {URL} and {ENDPOINT}, or unset them.") from error


def _check_address(variable: str, address: str) -> None:
    if _SECRET.search(address):
        raise InputError(f"{variable} carries a secret", "Give secrets by the usual variables of the store (AWS_...).")
    if not address.isprintable() or not _ADDRESS.fullmatch(address):
        remedy = f"Set {variable} to an address such as s3://bucket/prefix or https://host, or unset it."
        raise InputError(f"{variable} is not an address: it is incomplete or has blanks in it", remedy)
