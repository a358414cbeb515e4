"""The release note on a fake GitHub (emulate). Needs `make workflow-tools` and git."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from pipelines.release import release_notes
from pipelines.repository.tags import Assignment, Version
from tests.engine.release.tag_repository import annotation, assign_version, register_version
from tests.engine.workflows.github_accounts import REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake


@pytest.fixture
def fake(shared_fake: GitHubFake, tag_repository: Path) -> Iterator[GitHubFake]:
    """GitHub with the repository of `tag_repository`."""
    shared_fake.reset(tag_repository.parent / "origin.git")
    yield shared_fake
    assert shared_fake.invalid == []


@pytest.fixture
def released(fake: GitHubFake) -> tuple[Version, Assignment]:
    version = register_version("a", (1, 0, 0))
    return version, assign_version(version, pull_request=3, approved_by=("bob",))


@pytest.fixture
def github(fake: GitHubFake) -> GitHub:
    return GitHub(REPOSITORY, TOKEN, fake.url)


def notes(fake: GitHubFake) -> list[str]:
    return [release["tag_name"] for release in fake.ask("GET", "/releases")]


@pytest.mark.parametrize("bypassed", [True, False, None])
def test_note_mentions_a_bypassed_ruleset(bypassed: bool | None) -> None:
    content = annotation("a", version="fraud@v1.0.0", main_commit="c" * 40, pull_request=3, bypassed=bypassed)
    version = Version("fraud@v1.0.0", (1, 0, 0), "c" * 40, content)
    note = release_notes.format_note(version, Assignment("fraud#production#1", 1, "c" * 40, datetime.now(UTC), content))
    assert ("bypassed" in note) == bool(bypassed)


def test_note_is_created_once(fake: GitHubFake, github: GitHub, released: tuple[Version, Assignment]) -> None:
    address = release_notes.publish_note(github, *released)
    assert address and release_notes.publish_note(github, *released) == address
    assert notes(fake) == ["fraud@v1.0.0"]
    assert "`bob`" in fake.ask("GET", "/releases/tags/fraud@v1.0.0")["body"]


def test_note_created_by_a_concurrent_run_is_used(
    fake: GitHubFake, github: GitHub, released: tuple[Version, Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = github.release
    create = github.create_release
    monkeypatch.setattr(github, "release", lambda tag: None)

    def second(tag: str, title: str, body: str) -> Any:
        create(tag, title, body)  # by the first run, after this one has looked
        monkeypatch.setattr(github, "release", looked)
        return create(tag, title, body)

    monkeypatch.setattr(github, "create_release", second)
    assert release_notes.publish_note(github, *released).endswith("fraud@v1.0.0")
    assert notes(fake) == ["fraud@v1.0.0"]


def test_rejected_note_is_an_error(
    fake: GitHubFake, github: GitHub, released: tuple[Version, Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(tag: str, title: str, body: str) -> None:
        raise InputError("GitHub: POST releases: 422 Validation Failed: body is too long", "")

    monkeypatch.setattr(github, "create_release", refused)
    with pytest.raises(InputError, match="too long"):
        release_notes.publish_note(github, *released)
