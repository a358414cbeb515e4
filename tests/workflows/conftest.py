"""What the tests of the workflow files share: one GitHub a worker, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workflows.github_fake import GitHubFake, running


@pytest.fixture(scope="session")
def shared_github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubFake]:
    """Started once: Node takes seconds."""
    yield from running(tmp_path_factory.mktemp("github"))


@pytest.fixture
def github(shared_github: GitHubFake) -> GitHubFake:
    """GitHub with acme/fraud and nothing in it; give it a bare repository by `reset`."""
    shared_github.reset()
    return shared_github
