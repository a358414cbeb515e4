"""What the tests of the workflow files share: one GitHub a worker, emptied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.workflows.github_fake import GitHubFake, running
from tests.engine.workflows.world import World


@pytest.fixture(scope="session")
def shared_github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubFake]:
    """Started once: Node takes seconds."""
    yield from running(tmp_path_factory.mktemp("github"))


@pytest.fixture
def github(shared_github: GitHubFake) -> GitHubFake:
    """GitHub with acme/fraud and nothing in it; give it a bare repository by `reset`."""
    shared_github.reset()
    return shared_github


@pytest.fixture
def world(small_problem: Path, github: GitHubFake, tmp_path: Path) -> Iterator[World]:
    """acme/fraud with the small problem on main; whatever a test does, GitHub must have taken every request."""
    made = World(small_problem, tmp_path, github)
    yield made
    assert github.invalid == []
    shutil.rmtree(tmp_path, ignore_errors=True)
