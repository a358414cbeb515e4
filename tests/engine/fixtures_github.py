"""A GitHub in memory, for what the verb `publish` asks of the client; the client has tests of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipelines.cli.errors import InputError, MainlineError

Json = dict[str, Any]
BOT = {"login": "github-actions[bot]", "type": "Bot"}
PERSON = {"login": "mallory", "type": "User"}


@dataclass
class MemoryGitHub:
    """Answers as GitHub does.

    Attributes:
        pulls: number -> pull request.
        kept: comment's id -> comment; of one pull request.
        runs: (commit, name, conclusion) of the check runs, the oldest first.
        started: (workflow file, branch) of the workflows that were started.
        zips: artifact's id -> (run, name, stated size, content).
        errors: method -> the error that it raises once instead of an answer.
        before: method -> what happens once just before its answer.
    """

    pulls: dict[int, Json] = field(default_factory=dict)
    kept: dict[int, Json] = field(default_factory=dict)
    runs: list[tuple[str, str, str]] = field(default_factory=list)
    started: list[tuple[str, str]] = field(default_factory=list)
    zips: dict[int, tuple[int, str, int, bytes]] = field(default_factory=dict)
    errors: dict[str, MainlineError] = field(default_factory=dict)
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    downloads: list[tuple[int, int]] = field(default_factory=list)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def bodies(self) -> list[str]:
        """The comments, the oldest first."""
        return [comment["body"] for comment in self.kept.values()]

    @property
    def untouched(self) -> bool:
        """Whether nothing was posted, put or started."""
        return not (self.kept or self.runs or self.started)

    def say(self, body: str, user: Json) -> Json:
        """Somebody comments."""
        number = next(self._ids)
        self.kept[number] = {"id": number, "body": body, "user": user}
        return self.kept[number]

    def pull(self, number: int) -> Json:
        """A pull request."""
        self._meet("pull")
        if number not in self.pulls:
            raise InputError(f"GitHub: GET /pulls/{number}: 404", "")
        return self.pulls[number]

    def comments(self, number: int) -> list[Json]:
        """All comments."""
        return list(self.kept.values())

    def create_comment(self, number: int, body: str) -> Json:
        """Comment as the bot."""
        self._meet("create_comment")
        return self.say(body, BOT)

    def update_comment(self, comment: int, body: str) -> None:
        """Replace a text."""
        self.kept[comment]["body"] = body

    def delete_comment(self, comment: int) -> None:
        """Remove a comment."""
        del self.kept[comment]

    def checks(self, sha: str) -> list[Json]:
        """The newest check run of each name."""
        newest = {name: conclusion for of, name, conclusion in self.runs if of == sha}
        return [{"name": name, "conclusion": conclusion} for name, conclusion in newest.items()]

    def create_check(self, sha: str, name: str, conclusion: str, title: str, summary: str) -> None:
        """Put a check."""
        self._meet("create_check")
        self.runs.append((sha, name, conclusion))

    def dispatch(self, workflow: str, ref: str) -> None:
        """Start a workflow."""
        self._meet("dispatch")
        self.started.append((workflow, ref))

    def artifacts(self, run: int) -> list[Json]:
        """The artifacts of a run."""
        found = self.zips.items()
        return [{"id": key, "name": name, "size_in_bytes": size} for key, (of, name, size, _) in found if of == run]

    def download_artifact(self, number: int, limit: int) -> bytes:
        """An artifact's zip."""
        self.downloads.append((number, limit))
        return self.zips[number][3]

    def _meet(self, method: str) -> None:
        if happens := self.before.pop(method, None):
            happens()
        if error := self.errors.pop(method, None):
            raise error
