"""The release note of a version: in the job's summary, and as a release on GitHub."""

from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from pipelines.repository.tags import Assignment, Version


def format_note(version: Version, assignment: Assignment) -> str:
    """Return a version and its assignment as Markdown, without any text by the author of a pull request."""
    annotation = assignment.annotation
    pull = f"#{annotation.pull_request}" if annotation.pull_request else "a direct push"
    approvers = ", ".join(f"`{login}`" for login in annotation.approved_by) or "nobody"
    rows = {
        "in production as": f"`{assignment.tag}`",
        "release id": f"`{assignment.release_id}`",
        "image": f"`{annotation.image}`",
        "model": f"md5 `{annotation.model}`",
        "commit": assignment.main_commit,
        "merged by": f"{pull}, approved by {approvers}" + (", **ruleset bypassed**" if annotation.bypassed else ""),
        **{name.replace("_", " "): f"{value:.4g}" for name, value in annotation.metrics.items()},
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    rollback = "To roll back to the version before: `make rollback`. To return to this one: `make rollback TO="
    return f"| {version.tag} | |\n|---|---|\n{table}\n\n{rollback}{version.tag}`.\n"


def publish_note(github: GitHub, version: Version, assignment: Assignment) -> str:
    """Create the release of a version on GitHub once, for the version's first assignment; return its URL."""
    if note := github.release(version.tag):
        return str(note["html_url"])
    try:
        note = github.create_release(version.tag, version.tag, format_note(version, assignment))
    except InputError:
        if (note := github.release(version.tag)) is None:  # else another run created it meanwhile
            raise
    return str(note["html_url"])
