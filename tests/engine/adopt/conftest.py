"""Tables on disk, what is found out about them, and copies of the template to adopt them in."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipelines.__main__ import main
from pipelines.adopt.columns import Found, find_columns
from pipelines.adopt.draft import Draft, Request, make_draft
from pipelines.adopt.source import read_source
from tests.engine.adopt.tables import write_csv
from tests.engine.fixtures_repo import CommandResult, Repo, copy_sources, point_at_cache
from tests.engine.in_process import stages_in_process, verb


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., dict[str, Found]]:
    """What is found in the columns of a CSV file."""

    def find(columns: dict[str, Any], **form: str) -> dict[str, Found]:
        path = write_csv(tmp_path / "table.csv", columns, **form)
        found, _ = find_columns(read_source(str(path), None, tmp_path).connection)
        return {column.source_name: column for column in found}

    return find


@pytest.fixture
def draft(tmp_path: Path) -> Callable[..., Draft]:
    """The decisions on a CSV file."""

    def decide(columns: dict[str, Any], target: str, **settings: Any) -> Draft:
        source = read_source(str(write_csv(tmp_path / "table.csv", columns)), None, tmp_path)
        return make_draft(source.connection, *find_columns(source.connection), Request(target, **settings))

    return decide


@pytest.fixture
def copy(tmp_path: Path) -> Repo:
    """A fresh copy of the template on main, with the problem of the tests, and without data or models."""
    folder = tmp_path / "copy"
    folder.mkdir()
    copy_sources(folder)
    copy = Repo(folder, tmp_path / "cache")
    copy.git("init", "--quiet", "--initial-branch=main")
    copy.git("config", "user.email", "ann@example.org")
    point_at_cache(copy)
    copy.commit("the template")
    return copy


@pytest.fixture
def adopt(copy: Repo) -> Iterator[Callable[..., CommandResult]]:
    """The verb in the copy, with the verbs that it starts and the stages in this process."""

    def run_verb(name: str, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = main([name, *arguments])
        if not capture:
            print(out.getvalue())
        return subprocess.CompletedProcess([], code, out.getvalue(), "")

    def run(table: Path | str, target: str, *options: str) -> CommandResult:
        return verb(copy, "adopt", str(table), target, *options)

    with stages_in_process("review.flow"), mock.patch("pipelines.adopt.flow.run_verb", run_verb):
        yield run
