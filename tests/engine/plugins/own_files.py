"""No test reads the files of the team's own problem, so that they pass in every repository made from this template.

The problem of the tests is in tests/engine/fixtures/. A test about the repository's own files uses `own_files`.
What a process started by a test reads is not seen here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.repository import ROOT, is_own

_allowed = False


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or _allowed or isinstance(arguments[0], int):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  # quick: it runs at every file that is opened
    if path.startswith(f"{ROOT}/") and is_own(path[len(str(ROOT)) + 1 :]):
        raise AssertionError(
            f"a test reads {path}: take the problem of tests/engine/fixtures/, or the fixture `own_files`"
        )


def pytest_configure() -> None:
    sys.addaudithook(_refuse)


@pytest.fixture
def own_files() -> Iterator[Path]:
    """The repository, whose own files may be read as long as the test runs."""
    global _allowed
    _allowed = True
    yield ROOT
    _allowed = False
