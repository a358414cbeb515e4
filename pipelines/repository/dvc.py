"""DVC: its commands, its cache, and the md5 by which it names files and folders."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError, Unreachable
from pipelines.cli.verbs import python_first


def dvc_command(*arguments: str) -> list[str]:
    """The command line of a DVC command, run by this interpreter."""
    return [sys.executable, "-m", "dvc", *arguments]


def run_dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command in `root` to its end, and keep its output."""
    command = dvc_command(*arguments)
    return subprocess.run(command, cwd=root, env=python_first(), capture_output=True, text=True, check=False)


def dvc_or_fail(root: Path, *arguments: str, remedy: str) -> str:
    """The last line that a DVC command prints, which must succeed.

    Raises:
        Unreachable: with what DVC printed.
    """
    done = run_dvc(root, *arguments)
    if done.returncode:
        raise Unreachable(f"dvc {arguments[0]} failed: {error_of(done)}", remedy)
    return (done.stdout.strip().splitlines() or ["done"])[-1]


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The error that DVC printed, on one line."""
    text = done.stderr or done.stdout
    words = text[max(0, text.find("ERROR:")) :].removeprefix("ERROR:").split()
    return " ".join(words)[:400] or f"exit code {done.returncode}"


@contextmanager
def open_dvc(root: Path) -> Iterator[Any]:
    """DVC's own view of the repository.

    Raises:
        InputError: if there is none, or its configuration is invalid.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError as error:
        raise InputError(f"{root} is not a DVC repository", "Run `dvc init`, or clone the repository again.") from error
    except DvcException as error:
        raise InputError(f"DVC cannot start: {error}", "Fix .dvc/config and .dvc/config.local.") from error
    with repo:
        yield repo


def file_md5(path: Path) -> str:
    """The md5 of a file as DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(root: Path, folder: Path) -> str:
    """DVC's hash of a folder as it is on the disk, whether or not DVC knows the folder."""
    from dvc.fs import LocalFileSystem
    from dvc_data.hashfile.build import build

    with open_dvc(root) as repo:
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

    with open_dvc(root) as repo:
        # Not DVC's own view of its cache, which takes every read-only file for undamaged.
        cache = HashFileDB(repo.cache.local.fs, repo.cache.local.path)
        try:
            check(cache, load(cache, HashInfo("md5", md5)))
        except (FileNotFoundError, ObjectFormatError):
            return False
        return True
