"""The event that started a workflow's run: the fields in use are validated strictly, all others ignored."""

import json
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError

from pipelines.cli.errors import InputError

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
FullName = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]  # OWNER/NAME


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    repository: FullName = Field(validation_alias=AliasPath("repository", "full_name"))


class PullRequestEvent(_Event):
    """The event `pull_request`; `head_repository` is None once a fork was deleted."""

    number: int = Field(ge=1, validation_alias=AliasPath("pull_request", "number"))
    branch: str = Field(validation_alias=AliasPath("pull_request", "head", "ref"))
    sha: Sha = Field(validation_alias=AliasPath("pull_request", "head", "sha"))
    head_repository: FullName | None = Field(
        default=None, validation_alias=AliasPath("pull_request", "head", "repo", "full_name")
    )


class WorkflowRunEvent(_Event):
    """The event `workflow_run`: a finished run of another workflow.

    `head_repository` and `sha` come from GitHub, not from the fork; the first is None once a fork was deleted.
    """

    run: int = Field(validation_alias=AliasPath("workflow_run", "id"))
    run_event: str = Field(validation_alias=AliasPath("workflow_run", "event"))
    sha: Sha = Field(validation_alias=AliasPath("workflow_run", "head_sha"))
    head_repository: FullName | None = Field(
        default=None, validation_alias=AliasPath("workflow_run", "head_repository", "full_name")
    )


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
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
        raise InputError(f"the event is not a valid {kind.__name__}: {fields}", remedy) from error
    except (OSError, ValueError) as error:
        raise InputError(f"GITHUB_EVENT_PATH ({path or 'not set'}) is not a file with an event", remedy) from error
