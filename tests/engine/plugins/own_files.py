"""A pytest plugin: a test that reads the team's files fails, so that tests pass in every copy of the template.

The tests' own problem is in tests/engine/fixtures/. A test about the repository's own files uses `own_files`.
Files that a process of a test reads are not checked.
"""

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
    path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  # fast: it runs for every opened file
    if path.startswith(f"{ROOT}/") and is_own(path[len(str(ROOT)) + 1 :]):
        raise AssertionError(
            f"a test reads {path}: use the problem of tests/engine/fixtures/, or the fixture `own_files`"
        )


def pytest_configure() -> None:
    sys.addaudithook(_refuse)


@pytest.fixture
def own_files() -> Iterator[Path]:
    """The repository, whose own files the test may read."""
    global _allowed
    _allowed = True
    yield ROOT
    _allowed = False
