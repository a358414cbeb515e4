"""Scratch folders, and what a killed run leaves of them."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.cli.scratch import scratch_folder

KEEP = """
import os, sys, tempfile
from pipelines.cli.scratch import scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder("build") as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def test_folder_of_a_killed_run_is_removed_by_the_next_and_that_of_a_running_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdin
    left = Path(process.stdout.readline().strip())
    with scratch_folder("build") as folder:
        assert folder.is_dir() and (left / "file").exists()
    assert not folder.exists()
    process.stdin.close()
    assert process.wait() == 9
    assert left.exists()
    with scratch_folder("build") as first, scratch_folder("build") as second:
        assert not left.exists() and first.is_dir() and second.is_dir()
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_folder_is_removed_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="broken"), scratch_folder("build"):
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []
