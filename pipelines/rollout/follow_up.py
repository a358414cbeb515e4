"""After an aborted canary: one issue, and one pull request that reverts what main still holds."""

import os

from pipelines.cli.verbs import run_verb
from pipelines.github.client import GitHub
from pipelines.github.one_issue import OneIssue
from pipelines.pages.safe_text import escape
from pipelines.repository import origin, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Assignment

LABEL = "rollout"


def follow_up(model_name: str) -> int:
    """Open the issue and the pull request while main holds an aborted release, else close the issue.

    Returns:
        1 while main holds it, else 0.

    Raises:
        Unreachable: if origin or GitHub does not respond.
    """
    main = origin.main() or git("rev-parse", "main")
    champion, aborted = tags.find_newest_assignment(model_name), _find_aborted(model_name, main)
    if aborted is None or champion is None:
        _update_issue(model_name, None)
        return 0
    _update_issue(model_name, _format_issue(model_name, aborted, champion))
    # A rerun makes no second pull request, and none again after a person has closed it.
    if origin.read_ref(f"refs/heads/rollback/{champion.version.replace('@', '-')}-{main[:8]}"):
        print("The branch of the revert exists.")
        return 1
    why = f"The canary {aborted.version} was aborted: {aborted.annotation.why}"
    if os.environ.get("GITHUB_ACTIONS") == "true":  # its review needs none of this job's permissions
        GitHub.from_environment().dispatch("rollback.yml", "main", {"to": champion.version, "why": why})
        print("Started rollback.yml.")
    elif run_verb("rollback", "--to", champion.version, "--why", why).returncode > 1:
        print(f"The revert was not opened: run `make rollback TO={champion.version}`.")
    return 1


def _find_aborted(model_name: str, main: str) -> Assignment | None:
    """Return the end of an aborted canary whose release main holds; None if there is none, or production has it."""
    ends = tags.list_assignments(model_name, tags.CANARY_END)
    newest = tags.find_newest_assignment(model_name)
    if not ends or newest is None or newest.release_id == ends[-1].release_id:
        return None
    return ends[-1] if release_id(main) == ends[-1].release_id else None


def _format_issue(model_name: str, aborted: Assignment, champion: Assignment) -> str:
    return (
        f"**The canary `{aborted.version}` of `{model_name}` was aborted**: {escape(aborted.annotation.why or '')}\n\n"
        f"`{champion.version}` gets all requests. Main still holds the aborted model.\n\n"
        "**What to do next**\n\n"
        "- Merge the pull request that reverts it, or fix the model in a new one.\n"
        "- What the judge compares, and how to read its counts: docs/rollout.md.\n\n"
        "The workflow `rollout` closes this issue when main holds another release."
    )


def _update_issue(model_name: str, body: str | None) -> None:
    if not os.environ.get("GITHUB_TOKEN"):
        return
    issue = OneIssue(LABEL, f"A release of {model_name} was aborted", f"<!-- mainline-rollout-{model_name} -->")
    closing = "Main holds another release."
    print(f"Issue: {issue.update(GitHub.from_environment(), body, closing_body=closing)}")
