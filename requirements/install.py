"""Create the environment from a hash-pinned lock; needs only Python 3.11 with venv.

`python requirements/install.py env` creates or updates $VENV; with `uv` instead it prints the path of uv: the one on
PATH, or else the one that requirements/uv.txt pins, installed in $MAINLINE_CACHE.

The environment contains a stamp: the text of the lock that it was created from. make runs this file only if the two
differ. Two processes at once wait for each other, and an environment whose creation was killed is created anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
STAMP = ".mainline-stamp"
GUARD = ".mainline-guard"
UNFINISHED = "unfinished: in progress, or left by a process that was killed\n"
OLDEST_UV = (0, 9)


class Stop(Exception):
    """An error whose message says what is wrong and what to do."""


def install_environment(venv: Path, lock: Path, cache: Path, *, this_python: bool) -> None:
    """Install exactly the packages of a lock; do nothing if the stamp matches.

    Args:
        this_python: create the environment anew if its Python version differs from the running one.

    Raises:
        Stop: if the folder is not an environment, or uv fails.
    """
    text = lock.read_text(encoding="utf-8")
    with _lock_environment(venv) as guard:
        stamp = venv / STAMP
        stamped = stamp.read_text(encoding="utf-8") if stamp.is_file() else ""
        version = _python_version(venv)
        usable = bool(version) and stamped != UNFINISHED and (not this_python or version == sys.version_info[:2])
        if usable and stamped == text:
            return
        started = time.monotonic()
        uv = find_uv(cache, not_in=venv)
        _log(f"{'updating' if usable else 'creating'} {venv} from {lock.name}")
        stamp.write_text(UNFINISHED, encoding="utf-8")
        if not usable:
            _remove_content(venv)
            _run(uv, cache, guard, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv))
        bars = () if sys.stderr.isatty() else ("--quiet",)
        python = str(venv / "bin" / "python")
        _run(uv, cache, guard, "pip", "sync", *bars, "--require-hashes", "--python", python, str(lock))
        new_stamp = stamp.with_name(f"{STAMP}.new")
        new_stamp.write_text(text, encoding="utf-8")
        os.replace(new_stamp, stamp)
        _log(f"{time.monotonic() - started:.0f} s")


@contextmanager
def _lock_environment(venv: Path) -> Iterator[int]:
    """Hold a file lock of the environment, which the operating system releases when its last holder ends.

    Yields:
        The file's descriptor. uv inherits it: if only this process is killed, the next one waits until uv ends too.
    """
    venv.mkdir(parents=True, exist_ok=True)
    if any(venv.iterdir()) and not any((venv / name).exists() for name in ("pyvenv.cfg", GUARD)):
        raise Stop(f"{venv} is not an environment, and not empty. Set VENV to another folder.")
    with (venv / GUARD).open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log(f"waiting for another process that is creating {venv}")
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield guard.fileno()


def _python_version(venv: Path) -> tuple[int, ...]:
    """Return the version of the environment's Python, or () if it does not start (a system upgrade may remove it)."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True)
    except OSError:
        return ()
    return tuple(int(part) for part in done.stdout.split()) if done.returncode == 0 else ()


def _remove_content(venv: Path) -> None:
    for item in venv.iterdir():
        if item.name in (STAMP, GUARD):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def find_uv(cache: Path, not_in: Path | None = None) -> Path:
    """Return the uv on PATH if it is new enough, else a private one, which is installed once.

    Args:
        not_in: an environment that is about to be changed, whose own uv is therefore not used.

    Raises:
        Stop: if this Python lacks venv, or pip cannot install.
    """
    inside = None if not_in is None else (not_in / "bin").resolve()
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != inside]
    uv = shutil.which("uv", path=os.pathsep.join(folders))
    if uv and _uv_version(Path(uv)) >= OLDEST_UV:
        return Path(uv)
    lock = HERE / "uv.txt"
    private = cache / f"uv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}" / "uv"
    if not private.is_file():
        _install_uv(lock, private)
    return private


def _uv_version(uv: Path) -> tuple[int, ...]:
    """Return the version, or () if uv does not start, as a shim of another version manager may not."""
    try:
        done = subprocess.run([uv, "--version"], capture_output=True, text=True)
    except OSError:
        return ()
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 2:
        return ()
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit())


def _install_uv(lock: Path, private: Path) -> None:
    """Install uv with pip into a temporary environment, and keep its one file."""
    _log("no uv on PATH, installing a private one")
    private.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=private.parent, prefix="scratch-") as scratch:
        if subprocess.run([sys.executable, "-m", "venv", scratch], capture_output=True).returncode != 0:
            raise Stop(f"{sys.executable} has no venv. Install it (Debian: apt-get install python3-venv), or uv.")
        pip = [f"{scratch}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock]).returncode != 0:
            raise Stop("pip could not install uv (see the error above). Fix that, or install uv yourself.")
        os.replace(f"{scratch}/bin/uv", private)


def _run(uv: Path, cache: Path, guard: int, *arguments: str) -> None:
    # Trust the system's certificates, as git and pip do: a mirror may have its own.
    defaults = {"UV_CACHE_DIR": str(cache / "uv"), "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    env = {**defaults, **os.environ}
    env.pop("VIRTUAL_ENV", None)
    if subprocess.run([uv, *arguments], env=env, pass_fds=[guard]).returncode != 0:
        raise Stop("uv failed (see the error above). Fix that and run it again; downloads are kept.")


def _log(line: str) -> None:
    print(f"setup: {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line; return 0, or 3 after an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["env", "uv"])
    parser.add_argument("--lock", type=Path, default=HERE / "dev.txt")
    parser.add_argument("--this-python", action="store_true", help="use the Python that runs this")
    arguments = parser.parse_args()
    cache = Path(os.environ.get("MAINLINE_CACHE") or ".mainline/cache").absolute()
    try:
        if arguments.what == "uv":
            print(find_uv(cache))
        else:
            venv = Path(os.environ.get("VENV") or ".venv").absolute()
            install_environment(venv, arguments.lock, cache, this_python=arguments.this_python)
    except (Stop, OSError) as error:
        _log(str(error))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
