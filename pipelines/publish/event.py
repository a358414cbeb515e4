"""The event that started the run: the few fields in use, strictly read, everything else ignored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.cli.errors import InputError

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
FullName = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Repository(_Read):
    """A repository by OWNER/NAME."""

    full_name: FullName


class Head(_Read):
    """The head of a pull request; `repo` is None once a fork was deleted."""

    ref: str
    sha: Sha
    repo: Repository | None


class PullRequest(_Read):
    """A pull request as it was when the event happened."""

    number: Annotated[int, Field(ge=1)]
    head: Head


class PullRequestEvent(_Read):
    """An event `pull_request`."""

    pull_request: PullRequest
    repository: Repository


class WorkflowRun(_Read):
    """A finished run of another workflow. `head_repository` and `head_sha` come from GitHub, not from the fork."""

    id: int
    event: str
    head_sha: Sha
    head_repository: Repository


class WorkflowRunEvent(_Read):
    """An event `workflow_run`."""

    workflow_run: WorkflowRun
    repository: Repository


Event = TypeVar("Event", PullRequestEvent, WorkflowRunEvent)


def read(kind: type[Event]) -> Event:
    """The event of GITHUB_EVENT_PATH.

    Raises:
        InputError: if there is none, or it lacks what is needed.
    """
    path = os.environ.get("GITHUB_EVENT_PATH", "")
    remedy = "Run this in the workflow that docs/pull-request.md names."
    try:
        return kind.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
            raise InputError(f"the event is not one of a {kind.__name__}: {places}", remedy) from error
        raise InputError(f"there is no event at GITHUB_EVENT_PATH ({path or 'not set'})", remedy) from error
