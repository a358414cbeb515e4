"""Make the environment from a hash-pinned lock; needs nothing but Python 3.11 with venv.

`python requirements/install.py env` makes or mends $VENV, `python requirements/install.py uv` prints where uv is.
uv is the one on PATH, or else the one that requirements/uv.txt pins, put into $MAINLINE_CACHE.

The environment holds a stamp: the text of the lock that it was made from. make compares the two, and only where they
differ this file runs. It may be killed at any moment and started twice at once: a lock of the operating system lets one
work while the other waits, and an environment that was left half-made is made anew.
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
UNFINISHED = "unfinished: being made, or left by a process that was killed\n"
OLDEST_UV = (0, 9)


class Stop(Exception):
    """A clear end: the message says what is wrong and what to do."""


def environment(venv: Path, lock: Path, cache: Path, *, this_python: bool) -> None:
    """Bring an environment to what a lock says; does nothing where it is.

    Args:
        this_python: make it anew where it is of another Python version than the one that runs this.

    Raises:
        Stop: if the folder is not an environment, or uv fails.
    """
    text = lock.read_text(encoding="utf-8")
    with _alone(venv) as guard:
        stamp = venv / STAMP
        was = stamp.read_text(encoding="utf-8") if stamp.is_file() else ""
        usable = was != UNFINISHED and _works(venv) and not (this_python and _version(venv) != sys.version_info[:2])
        if usable and was == text:
            return
        started = time.monotonic()
        uv = find_uv(cache, not_in=venv)
        _say(f"setup: {'bringing' if usable else 'making'} {venv} {'up to date ' if usable else ''}from {lock.name}")
        stamp.write_text(UNFINISHED, encoding="utf-8")
        if not usable:
            _empty(venv)
            _run(uv, cache, guard, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv))
        bars = () if sys.stderr.isatty() else ("--quiet",)
        python = str(venv / "bin" / "python")
        _run(uv, cache, guard, "pip", "sync", *bars, "--require-hashes", "--python", python, str(lock))
        _write(stamp, text.encode())
        _say(f"setup: {time.monotonic() - started:.0f} s")


@contextmanager
def _alone(venv: Path) -> Iterator[int]:
    """Hold the environment's guard, a file that the operating system lets go of when its last holder ends.

    Yields:
        Its descriptor. uv inherits it: where only this process is killed, the next one waits until uv ends too.
    """
    venv.mkdir(parents=True, exist_ok=True)
    if any(venv.iterdir()) and not any((venv / name).exists() for name in ("pyvenv.cfg", GUARD)):
        raise Stop(f"{venv} is not an environment, and not empty. Give another VENV.")
    with (venv / GUARD).open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"setup: waiting for another process that is making {venv}")
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield guard.fileno()


def _works(venv: Path) -> bool:
    """Whether the environment's Python is there and starts (an upgrade of the system may have taken it away)."""
    try:
        return subprocess.run([venv / "bin" / "python", "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def _version(venv: Path) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in answer.stdout.split())


def _empty(venv: Path) -> None:
    for item in venv.iterdir():
        if item.name in (STAMP, GUARD):
            continue
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def find_uv(cache: Path, not_in: Path | None = None) -> Path:
    """The uv on PATH if it is new enough, else a private one, which is brought once.

    Args:
        not_in: an environment that is about to be changed, whose own uv is therefore not taken.

    Raises:
        Stop: if this Python lacks venv, or pip cannot install.
    """
    inside = None if not_in is None else (not_in / "bin").resolve()
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != inside]
    found = shutil.which("uv", path=os.pathsep.join(folders))
    if found and _uv_version(Path(found)) >= OLDEST_UV:
        return Path(found)
    lock = HERE / "uv.txt"
    private = cache / f"uv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}" / "uv"
    if not private.is_file():
        _bring_uv(lock, private)
    return private


def _uv_version(uv: Path) -> tuple[int, ...]:
    """The version, or () where it does not start, as a shim of another version manager may not."""
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True)
    except OSError:
        return ()
    words = answer.stdout.split()
    if answer.returncode != 0 or len(words) < 2:
        return ()
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit())


def _bring_uv(lock: Path, private: Path) -> None:
    """Install uv by pip into a scratch environment and keep its one file."""
    _say("setup: no uv on PATH, bringing a private one")
    private.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=private.parent, prefix="scratch-") as scratch:
        if subprocess.run([sys.executable, "-m", "venv", scratch], capture_output=True).returncode != 0:
            raise Stop(f"{sys.executable} has no venv. Install it (Debian: apt-get install python3-venv), or uv.")
        pip = [f"{scratch}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock]).returncode != 0:
            raise Stop("pip could not install uv (above: why). Mend that, or install uv yourself.")
        os.replace(f"{scratch}/bin/uv", private)


def _run(uv: Path, cache: Path, guard: int, *arguments: str) -> None:
    # Trust what the system trusts, as git and pip do: a mirror may have a certificate of its own.
    ours = {"UV_CACHE_DIR": str(cache / "uv"), "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    env = {**ours, **os.environ}
    env.pop("VIRTUAL_ENV", None)
    if subprocess.run([uv, *arguments], env=env, pass_fds=[guard]).returncode != 0:
        raise Stop("uv failed (above: why). Mend that and run it again; what was downloaded is kept.")


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    os.replace(beside, path)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line; the exit code is 0, or 3 after a `Stop`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["env", "uv"])
    parser.add_argument("--lock", type=Path, default=HERE / "dev.txt")
    parser.add_argument("--this-python", action="store_true", help="make the environment of this Python, not any")
    arguments = parser.parse_args()
    cache = Path(os.environ.get("MAINLINE_CACHE") or ".mainline/cache").absolute()
    try:
        if arguments.what == "uv":
            print(find_uv(cache))
        else:
            venv = Path(os.environ.get("VENV") or ".venv").absolute()
            environment(venv, arguments.lock, cache, this_python=arguments.this_python)
    except (Stop, OSError) as error:
        _say(f"setup: {error}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
