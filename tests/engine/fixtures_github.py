"""GitHubs for tests that run no workflow: one for each worker (emulate), and one in memory for the verb `publish`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipelines.cli.errors import InputError, MainlineError

Json = dict[str, Any]
BOT = {"login": "github-actions[bot]", "type": "Bot"}
PERSON = {"login": "mallory", "type": "User"}


@pytest.fixture(scope="session")
def shared_fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """emulate behind GitHub's own description. Needs `make workflow-tools`."""
    from tests.engine.workflows.github_fake import running

    yield from running(tmp_path_factory.mktemp("github"))


@dataclass
class MemoryGitHub:
    """Behaves as GitHub does.

    Attributes:
        pulls: number -> pull request.
        stored_comments: comment's id -> comment; of one pull request.
        check_runs: (commit, name, conclusion or "" if it waits) of the check runs, the oldest first.
        started_workflows: (workflow file, branch) of the workflows that were started.
        zips: artifact's id -> (run, name, stated size, content).
        errors: method -> the error that it raises once.
        before: method -> a function to call once before it returns.
    """

    pulls: dict[int, Json] = field(default_factory=dict)
    stored_comments: dict[int, Json] = field(default_factory=dict)
    check_runs: list[tuple[str, str, str]] = field(default_factory=list)
    started_workflows: list[tuple[str, str]] = field(default_factory=list)
    zips: dict[int, tuple[int, str, int, bytes]] = field(default_factory=dict)
    errors: dict[str, MainlineError] = field(default_factory=dict)
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    downloads: list[tuple[int, int]] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def bodies(self) -> list[str]:
        """The comments, the oldest first."""
        return [comment["body"] for comment in self.stored_comments.values()]

    @property
    def untouched(self) -> bool:
        """Whether there is no comment, no check run and no started workflow."""
        return not (self.stored_comments or self.check_runs or self.started_workflows)

    def add_comment(self, body: str, user: Json) -> Json:
        """Add a comment of a user."""
        number = next(self._ids)
        self.stored_comments[number] = {"id": number, "body": body, "user": user}
        return self.stored_comments[number]

    def pull(self, number: int) -> Json:
        """A pull request."""
        self._prepare("pull")
        if number not in self.pulls:
            raise InputError(f"GitHub: GET /pulls/{number}: 404", "")
        return self.pulls[number]

    def comments(self, number: int) -> list[Json]:
        """All comments."""
        return list(self.stored_comments.values())

    def create_comment(self, number: int, body: str) -> Json:
        """Add a comment of the bot."""
        self._prepare("create_comment")
        return self.add_comment(body, BOT)

    def update_comment(self, comment: int, body: str) -> None:
        """Replace the text of a comment."""
        self.stored_comments[comment]["body"] = body

    def delete_comment(self, comment: int) -> None:
        """Remove a comment."""
        del self.stored_comments[comment]

    def checks(self, sha: str) -> list[Json]:
        """The newest check run of each name."""
        newest = {name: conclusion for of, name, conclusion in self.check_runs if of == sha}
        return [
            {"name": name, "status": "completed" if conclusion else "queued", "conclusion": conclusion or None}
            for name, conclusion in newest.items()
        ]

    def create_check(self, sha: str, name: str, conclusion: str, title: str, summary: str) -> None:
        """Create a check run."""
        self._prepare("create_check")
        self.check_runs.append((sha, name, conclusion))

    def dispatch(self, workflow: str, ref: str) -> None:
        """Start a workflow."""
        self._prepare("dispatch")
        self.started_workflows.append((workflow, ref))

    def artifacts(self, run: int) -> list[Json]:
        """The artifacts of a run."""
        zips = self.zips.items()
        return [{"id": key, "name": name, "size_in_bytes": size} for key, (of, name, size, _) in zips if of == run]

    def download_artifact(self, number: int, limit: int) -> bytes:
        """An artifact's zip."""
        self.downloads.append((number, limit))
        return self.zips[number][3]

    def _prepare(self, method: str) -> None:
        if action := self.before.pop(method, None):
            action()
        if error := self.errors.pop(method, None):
            raise error
