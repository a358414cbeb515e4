"""The DVC remote, where data and models are shared: whether there is one, and setting it from the environment."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.cli.errors import InputError

NAME = "storage"
URL, ENDPOINT = "DVC_REMOTE_URL", "DVC_REMOTE_ENDPOINT_URL"


def set_remote_from_environment(root: Path) -> None:
    """Configure the remote of DVC_REMOTE_URL and DVC_REMOTE_ENDPOINT_URL, if set: DVC itself reads neither."""
    if url := os.environ.get(URL):
        write_remote(root, url, os.environ.get(ENDPOINT) or None)


def default_remote(root: Path = Path()) -> str | None:
    """The name of DVC's default remote by its configuration files, or None.

    The files are read without DVC, whose import takes half a second.
    """
    for name in ("config.local", "config"):
        path = root / ".dvc" / name
        if not path.is_file():
            continue
        if line := re.search(r"^\s*remote\s*=\s*(\S.*?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE):
            return line[1]
    return None


def write_remote(root: Path, url: str, endpoint: str | None = None) -> None:
    """Make `url` the default remote of this clone, named storage.

    Args:
        url: s3://bucket/prefix, another URL that DVC knows, or a path.
        endpoint: address of a server that speaks S3's protocol, if it is not Amazon's.

    Raises:
        InputError: if that is not an address, or holds a password; the message does not repeat it.
    """
    url = _checked(url, URL)
    if endpoint is not None:
        endpoint = _checked(endpoint, ENDPOINT)
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise InputError(
                f"{ENDPOINT} is not an http(s) address", f"Set {ENDPOINT} to http(s)://host:port, or unset it."
            )
    if "://" not in url:
        url = os.path.normpath(root.absolute() / url)
    wanted = {"url": url, **({"endpointurl": endpoint} if endpoint else {})}
    if _current(root) == wanted:
        return
    from dvc.config import Config, ConfigError

    try:
        # DVC checks before it writes.
        with Config(str(root / ".dvc"), validate=False).edit("local") as local:
            local["remote"][NAME] = wanted
            local["core"]["remote"] = NAME
    except ConfigError as error:
        raise InputError(f"DVC refuses the remote: {error}", f"Fix {URL} and {ENDPOINT}, or unset them.") from error


def _checked(address: str, variable: str) -> str:
    remedy = f"Set {variable} to an address such as s3://bucket/prefix or https://host, or unset it."
    if not address.strip() or any(sign.isspace() or not sign.isprintable() for sign in address):
        raise InputError(f"{variable} is not an address: it is empty or has blanks in it", remedy)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise InputError(f"{variable} is not an address", remedy) from error
    if parts.password or "?" in address:
        raise InputError(f"{variable} carries a secret", "Give secrets by the usual variables of the store (AWS_...).")
    if "://" in address and not (parts.scheme and (parts.netloc or parts.path.strip("/"))):
        raise InputError(f"{variable} is not an address", remedy)
    return address


def _current(root: Path) -> dict[str, str] | None:
    """The remote as .dvc/config.local has it, if it is the default there."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(root / ".dvc" / "config.local", encoding="utf-8")
    except configparser.Error:
        return None
    section = f"'remote \"{NAME}\"'"
    if parser.get("core", "remote", fallback=None) != NAME or not parser.has_section(section):
        return None
    remote = dict(parser[section])
    if "://" not in (url := remote.get("url", "")):
        remote["url"] = os.path.normpath(root.absolute() / ".dvc" / url)  # DVC writes paths relative to its folder
    return remote
