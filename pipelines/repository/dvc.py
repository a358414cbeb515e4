"""DVC: its commands, its cache, and the md5 by which it names files and folders."""

import hashlib
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError, Unreachable
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import python_first
from pipelines.repository.dvc_remote import default_remote

DVC = (sys.executable, "-m", "dvc")


def run_dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command in `root` and capture what it prints."""
    return subprocess.run([*DVC, *arguments], cwd=root, env=python_first(), capture_output=True, text=True, check=False)


def dvc_or_fail(root: Path, *arguments: str, remedy: str) -> str:
    """Run a DVC command and return the last line that it prints; raise Unreachable if it fails."""
    done = run_dvc(root, *arguments)
    if done.returncode:
        raise busy_error(done.stderr, root) or Unreachable(f"dvc {arguments[0]} failed: {error_of(done)}", remedy)
    return (done.stdout.strip().splitlines() or ["done"])[-1]


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error that DVC printed, on one line."""
    text = done.stderr or done.stdout
    words = text[max(0, text.find("ERROR:")) :].removeprefix("ERROR:").split()
    return " ".join(words)[:400] or f"exit code {done.returncode}"


def busy_error(text: str, root: Path) -> Unreachable | None:
    """Return the error that names the holder of DVC's lock, if DVC failed because of it.

    DVC's own message advises to remove the lock's file, which lets two commands write the same files.
    """
    if not re.search(r"Unable to acquire lock|is busy, it is being blocked", text):
        return None
    lock, named = root / ".dvc/tmp/lock", re.search(r"\(PID (\d+)\)", text)
    pid = named[1] if named else lock.read_text(encoding="utf-8") if lock.is_file() else ""
    return Unreachable(f"another command works in this folder: {_process(pid)}", "Wait until it ends, and run again.")


def _process(pid: str) -> str:
    """Return number, command and start of a process, or of the verb that started it."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    try:
        process = psutil.Process(int(pid))
        verbs = [each for each in (process, *process.parents()) if "pipelines" in each.cmdline()]
        process = (verbs or [process])[-1]
        words = process.cmdline()
        # The rest of a command may hold a password.
        command = " ".join(words[words.index("pipelines") :][:2] if verbs else words[:4])
        since = datetime.fromtimestamp(process.create_time()).astimezone()
        return f"process {process.pid} ({command}), since {since:%H:%M:%S}"
    except (ValueError, psutil.Error):
        return "it has ended by now"


@contextmanager
def open_dvc(root: Path) -> Iterator[Any]:
    """Yield `dvc.repo.Repo`; raise InputError if there is no DVC repository, or its configuration is invalid."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except DvcException as error:
        raise InputError(f"DVC cannot start: {error}", "Restore .dvc/config, and fix .dvc/config.local.") from error
    with repo:
        yield repo


def file_md5(path: Path) -> str:
    """Return the md5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(root: Path, folder: Path) -> str:
    """Return DVC's hash of a folder's files, also of a folder that DVC does not track."""
    from dvc.fs import LocalFileSystem
    from dvc_data.hashfile.build import build

    with open_dvc(root) as repo:
        _, _, tree = build(
            repo.cache.local, str(folder.absolute()), LocalFileSystem(), "md5", dry_run=True, ignore=repo.dvcignore
        )
        return str(tree.hash_info.value)


def in_cache(root: Path, md5: str) -> bool:
    """Return whether the local cache holds a folder's list and every file of it, undamaged."""
    from dvc_data.hashfile import check, load
    from dvc_data.hashfile.db import HashFileDB
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.errors import ObjectFormatError

    with open_dvc(root) as repo:
        # DVC's own object for its cache assumes that a read-only file is undamaged.
        cache = HashFileDB(repo.cache.local.fs, repo.cache.local.path)
        try:
            check(cache, load(cache, HashInfo("md5", md5)))
        except (FileNotFoundError, ObjectFormatError):
            return False
        return True


def fetch_from_remote(md5s: Iterable[str]) -> None:
    """Fetch files and folders that the cache lacks from the default remote, if there is one and it has them.

    Raises Unreachable if the remote does not respond.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    if default_remote():
        logging.getLogger("dvc.data_cloud").setLevel(logging.ERROR)  # callers report what is missing
        with open_dvc(Path()) as repo:
            try:
                repo.cloud.pull([HashInfo("md5", md5) for md5 in md5s])
            except Exception as error:  # a store raises what its library does
                reason = " ".join(str(error).split())[:200]
                raise Unreachable(reason, "Fix DVC_REMOTE_URL or the network.") from error


def fetch_folder(md5: str, progress: Progress) -> tuple[Path, ...]:
    """Return the Parquet files of a folder in DVC's cache, if need be fetched from the remote.

    Returns nothing if a file is neither there nor in the remote, or is damaged: the cache is shared. Raises Unreachable
    if the remote does not respond.
    """
    with open_dvc(Path()) as repo, progress.step(f"Fetching rows ({md5[:12]}) from the cache or the remote"):
        path_of = repo.cache.local.oid_to_path
        listing = Path(path_of(md5))
        if not listing.is_file():
            fetch_from_remote([md5])
        if not listing.is_file():
            return ()
        entries = json.loads(listing.read_text(encoding="utf-8"))
        files = {
            Path(path_of(entry["md5"])): entry["md5"] for entry in entries if entry["relpath"].endswith(".parquet")
        }
        if not all(path.is_file() for path in files):
            fetch_from_remote(files.values())
    return tuple(files) if all(path.is_file() and file_md5(path) == digest for path, digest in files.items()) else ()
