"""data.dvc, the pointer to data/, through DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import InputError, Unreachable
from pipelines.files import write_text

DATA = Path("data")
POINTER = Path("data.dvc")


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command in `root`; its output is captured, whatever its end."""
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def dvc_or_fail(root: Path, *arguments: str, remedy: str) -> None:
    """Run a DVC command that must succeed.

    Raises:
        Unreachable: with what DVC says.
    """
    done = dvc(root, *arguments)
    if done.returncode:
        raise Unreachable(f"dvc {arguments[0]} failed: {said(done)}", remedy)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The error that DVC printed, on one line."""
    text = done.stderr or done.stdout
    words = text[max(0, text.find("ERROR:")) :].removeprefix("ERROR:").split()
    return " ".join(words)[:400] or f"exit code {done.returncode}"


def read(root: Path) -> dict[str, Any]:
    """The pointer of the work tree.

    Raises:
        InputError: if there is none, or it is not one of a folder data/.
    """
    path = root / POINTER
    if not path.is_file():
        raise InputError(f"{POINTER} is missing: nothing says which rows belong to this commit", "Run `make data`.")
    return _parsed(path.read_text(encoding="utf-8"), str(POINTER))


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
        md5 = document["outs"][0]["md5"]
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{where} is not a pointer made by `dvc add data`", "Restore it from git.") from error
    if not (isinstance(md5, str) and md5.endswith(".dir") and document["outs"][0].get("path") == str(DATA)):
        raise InputError(f"{where} does not point to a folder {DATA}/", "Restore it from git.")
    return dict(document)


def md5_of(document: dict[str, Any]) -> str:
    """DVC's hash of the folder that a pointer names."""
    return str(document["outs"][0]["md5"])


def named(root: Path) -> set[str]:
    """The hashes that data.dvc names, in the work tree and in HEAD; a pointer that cannot be read names nothing."""
    texts = []
    if (root / POINTER).is_file():
        texts.append((root / POINTER).read_text(encoding="utf-8", errors="replace"))
    head = subprocess.run(
        ["git", "show", f"HEAD:./{POINTER}"], cwd=root, capture_output=True, text=True, check=False, errors="replace"
    )
    if head.returncode == 0:
        texts.append(head.stdout)
    found = set()
    for text in texts:
        try:
            found.add(md5_of(_parsed(text, str(POINTER))))
        except InputError:
            continue
    return found


def write_meta(root: Path, ingest: str) -> None:
    """Record in data.dvc from which ingest parameters the rows come; DVC keeps `meta` but never writes it."""
    document = read(root)
    if (document.get("meta") or {}).get("ingest") != ingest:
        document["meta"] = {**(document.get("meta") or {}), "ingest": ingest}
        write_text(root / POINTER, yaml.safe_dump(document, sort_keys=False))


@contextmanager
def repository(root: Path) -> Iterator[Any]:
    """DVC's own view of the repository.

    Raises:
        InputError: if there is none, or its configuration is wrong.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError as error:
        raise InputError(f"{root} is not a DVC repository", "Run `dvc init`, or clone the repository again.") from error
    except DvcException as error:
        raise InputError(f"DVC cannot start: {error}", "Mend .dvc/config and .dvc/config.local.") from error
    with repo:
        yield repo


def folder_md5(root: Path, folder: Path) -> str:
    """DVC's hash of a folder as it is on the disk, whether or not DVC knows the folder."""
    from dvc.fs import LocalFileSystem
    from dvc_data.hashfile.build import build

    with repository(root) as repo:
        _, _, tree = build(
            repo.cache.local, str(folder.absolute()), LocalFileSystem(), "md5", dry_run=True, ignore=repo.dvcignore
        )
        return str(tree.hash_info.value)


def in_cache(root: Path, md5: str) -> bool:
    """Whether the local cache holds the folder's list and every file of it, undamaged."""
    from dvc_data.hashfile import check, load
    from dvc_data.hashfile.db import HashFileDB
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.errors import ObjectFormatError

    with repository(root) as repo:
        # Not DVC's own view of its cache, which takes every read-only file for undamaged.
        cache = HashFileDB(repo.cache.local.fs, repo.cache.local.path)
        try:
            check(cache, load(cache, HashInfo("md5", md5)))
        except (FileNotFoundError, ObjectFormatError):
            return False
        return True


def default_remote(root: Path) -> str | None:
    """The name of the default remote, or None."""
    with repository(root) as repo:
        return repo.config["core"].get("remote") or None
