"""What people read of a release: the job's summary, and GitHub's release note of a version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from pipelines.repository.tags import Assignment, Version


def note(version: Version, assignment: Assignment) -> str:
    """A version and its way into production, as Markdown. It holds no text that a pull request's author wrote."""
    pull = f"#{assignment.said.pull_request}" if assignment.said.pull_request else "a direct push"
    approved = ", ".join(f"`{login}`" for login in assignment.said.approved_by) or "nobody"
    rows = {
        "in production as": f"`{assignment.tag}`",
        "release": f"`{assignment.release}`",
        "image": f"`{assignment.said.image}`",
        "model": f"md5 `{assignment.said.model}`",
        "commit": assignment.main_commit,
        "merged by": f"{pull}, approved by {approved}" + (", **rules bypassed**" if assignment.said.bypassed else ""),
        **{name.replace("_", " "): f"{value:.4g}" for name, value in assignment.said.metrics.items()},
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    back = f"`make rollback` brings the release before it back, `make rollback TO={version.tag}` this one."
    return f"| {version.tag} | |\n|---|---|\n{table}\n\n{back}\n"


def summary(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Add Markdown to the job's summary, where there is a job."""
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def publish(github: GitHub, version: Version, assignment: Assignment) -> str:
    """Make GitHub's release of a version, once; it says how the version came into production first.

    Returns:
        Its address, or an empty text.
    """
    known: Any = github.release(version.tag)
    if known is None:
        try:
            known = github.create_release(version.tag, version.tag, note(version, assignment))
        except InputError:
            known = github.release(version.tag)
            if known is None:  # else another run made it meanwhile
                raise
    return str((known or {}).get("html_url", ""))
