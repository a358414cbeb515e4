"""The one open issue of a label: opened, updated and closed as the state of the repository changes."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.github.client import GitHub
from pipelines.github.transport import Json


@dataclass(frozen=True)
class OneIssue:
    """An issue of which at most one is open.

    Attributes:
        label: the issue's label; other issues may have it too.
        title: the issue's title when it is opened.
        mark: an HTML comment in the body that tells this issue from others with the label.
    """

    label: str
    title: str
    mark: str

    def update(self, github: GitHub, body: str | None, closing_body: str) -> str:
        """Open the issue or update its body; without a body, close it.

        Args:
            body: Markdown; None if there is nothing to report.
            closing_body: replaces the body when the issue is closed.

        Returns:
            What was done, in words.

        Raises:
            Unreachable, Refused, InputError: see `GitHub`.
        """
        issues = self._list_open(github)
        if body is None:
            for issue in issues:
                fields = {"state": "closed", "state_reason": "completed", "body": self._add_mark(closing_body)}
                github.update_issue(issue["number"], **fields)
            return (
                f"closed issue {', '.join(str(issue['number']) for issue in issues)}" if issues else "no issue is open"
            )
        text = self._add_mark(body)
        if not issues:
            return f"opened issue {github.create_issue(self.title, text, [self.label])['number']}"
        number = issues[0]["number"]
        if issues[0]["body"].split() == text.split():  # GitHub changes line ends
            return f"issue {number} is up to date"
        github.update_issue(number, body=text)
        return f"updated issue {number}"

    def _list_open(self, github: GitHub) -> list[Json]:
        """List the open issues with label and mark, the oldest first."""
        marked = (issue for issue in github.issues(self.label) if self.mark in (issue.get("body") or ""))
        return sorted(marked, key=lambda issue: int(issue["number"]))

    def _add_mark(self, body: str) -> str:
        return f"{body}\n\n{self.mark}\n"
