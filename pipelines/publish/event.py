"""The event that started a workflow's run: the fields in use are validated strictly, all others ignored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.cli.errors import InputError

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
FullName = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Repository(_Model):
    """A repository; `full_name` is OWNER/NAME."""

    full_name: FullName


class Head(_Model):
    """The head of a pull request; `repo` is None once a fork was deleted."""

    ref: str
    sha: Sha
    repo: Repository | None


class PullRequest(_Model):
    """A pull request at the time of the event."""

    number: Annotated[int, Field(ge=1)]
    head: Head


class PullRequestEvent(_Model):
    """The event `pull_request`."""

    pull_request: PullRequest
    repository: Repository


class WorkflowRun(_Model):
    """A finished run of another workflow. `head_repository` and `head_sha` come from GitHub, not from the fork."""

    id: int
    event: str
    head_sha: Sha
    head_repository: Repository


class WorkflowRunEvent(_Model):
    """The event `workflow_run`."""

    workflow_run: WorkflowRun
    repository: Repository


Event = TypeVar("Event", PullRequestEvent, WorkflowRunEvent)


def read_event(kind: type[Event]) -> Event:
    """Read the event from the file that GITHUB_EVENT_PATH names.

    Raises:
        InputError: if there is no such file, or a needed field is missing or invalid.
    """
    path = os.environ.get("GITHUB_EVENT_PATH", "")
    remedy = "Run this in the workflow that docs/pull-request.md names."
    try:
        return kind.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            fields = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
            raise InputError(f"the event is not a valid {kind.__name__}: {fields}", remedy) from error
        raise InputError(f"GITHUB_EVENT_PATH ({path or 'not set'}) is not a file with an event", remedy) from error
