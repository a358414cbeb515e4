"""The one open issue of a label: opened, updated and closed as the state of the repository changes."""

from dataclasses import dataclass

from pipelines.github.client import GitHub


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
        """Open the issue or update its body; without a body close it with `closing_body`. Return what was done."""
        text = f"{closing_body if body is None else body}\n\n{self.mark}\n"
        marked = [issue for issue in github.issues(self.label) if self.mark in (issue.get("body") or "")]
        issues = {int(issue["number"]): issue for issue in marked}
        if body is None:
            for number in issues:
                github.update_issue(number, state="closed", state_reason="completed", body=text)
            return f"closed issue {', '.join(map(str, sorted(issues)))}" if issues else "no issue is open"
        if not issues:
            return f"opened issue {github.create_issue(self.title, text, [self.label])['number']}"
        oldest = min(issues)
        if issues[oldest]["body"].split() == text.split():  # GitHub changes line ends
            return f"issue {oldest} is up to date"
        github.update_issue(oldest, body=text)
        return f"updated issue {oldest}"
