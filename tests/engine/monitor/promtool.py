"""Prometheus and promtool of Debian's package `prometheus`, for tests."""

import shutil
import subprocess

import pytest


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; skip the test where it is not installed."""
    return subprocess.run([tool("promtool"), *arguments], input=text, capture_output=True, text=True)


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing (Debian: apt-get install prometheus)")
    return path
