"""Tables on disk, what is found out about them, and copies of the template to adopt them in."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.adopt.columns import Found, find_columns
from pipelines.adopt.draft import Draft, Request, make_draft
from pipelines.adopt.flow import Adoption, decide
from pipelines.adopt.source import read_source
from pipelines.cli.progress import Progress
from tests.engine.adopt.tables import write_csv
from tests.engine.fixtures_repo import PARAMS, CommandResult, Repo, copy_sources, point_at_cache
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
def adoption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Adoption]:
    """The files that an adoption would write, beside the params.yaml of the tests' problem."""
    shutil.copyfile(PARAMS, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return lambda table, target, **request: decide(str(table), Request(target, **request), tmp_path, Progress())


def committed(folder: Path, cache: Path) -> Repo:
    repo = Repo(folder, cache)
    repo.git("init", "--quiet", "--initial-branch=main")
    repo.git("config", "user.email", "ann@example.org")
    repo.commit("the template")
    return repo


@pytest.fixture
def copy(tmp_path: Path) -> Repo:
    """A fresh copy of the template on main, with the problem of the tests, and without data or models."""
    folder = tmp_path / "copy"
    folder.mkdir()
    copy_sources(folder)
    copy = Repo(folder, tmp_path / "cache")
    point_at_cache(copy)
    return committed(folder, tmp_path / "cache")


@pytest.fixture
def unread(tmp_path: Path) -> Repo:
    """A repository that holds nothing but a params.yaml: enough for an adoption that writes nothing."""
    folder = tmp_path / "unread"
    folder.mkdir()
    shutil.copyfile(PARAMS, folder / "params.yaml")
    return committed(folder, tmp_path / "cache")


@pytest.fixture
def adopt(copy: Repo) -> Iterator[Callable[..., CommandResult]]:
    """The verb in the copy, with the verbs that it starts and the stages in this process."""

    def run(table: Path | str, target: str, *options: str) -> CommandResult:
        return verb(copy, "adopt", str(table), target, *options)

    with stages_in_process("review.flow", "adopt.flow"):
        yield run
