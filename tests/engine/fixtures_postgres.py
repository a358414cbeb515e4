"""A PostgreSQL server of Debian's package, which listens on a free port of this machine and asks for a password."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "p@ss word-17"


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of the server, without the password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("initdb is missing (Debian: apt-get install postgresql)")
    # The server refuses to run as root, and the folders of pytest are closed to others.
    user = next((entry for entry in pwd.getpwall() if entry.pw_name == "postgres"), None) if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command: dict[str, Any] = {"user": user.pw_name, "group": user.pw_gid} if user else {}
        subprocess.run(
            [found[-1], "-D", folder / "data", "-U", "ann", "-A", "scram-sha-256", "--pwfile", folder / "password",
             "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **command,
        )  # fmt: skip
        control: list[str | Path] = [found[-1].with_name("pg_ctl"), "-D", folder / "data", "-w"]
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **command,
        )
        try:
            yield f"postgresql://ann@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, **command)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
