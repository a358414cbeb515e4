"""The one sticky comment of a pull request: posted with CML if that is installed and works, else over REST."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipelines.github.client import GitHub
from pipelines.github.transport import Json

TITLE = "mainline-review"
LIMIT = 65_536  # characters of a comment on GitHub
RESERVED = 2_000  # characters for what CML appends
OUR_LOGIN = "github-actions[bot]"  # the author of comments that are posted with the token of a workflow
_CML_PAGE = 30  # CML 0.20.6 sees only this many comments, the oldest ones
_CML_TIMEOUT = 120.0  # seconds
_WATERMARK = re.compile(rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)')


def watermark(sha: str) -> str:
    """Return what CML 0.20.6 appends to its comments (src/watermark.js), so that CML and REST find the same comment."""
    return f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def shorten(report: str, link: str) -> str:
    """Cut a report that is too long for a comment before the section that would overflow, and append a link."""
    limit = LIMIT - RESERVED
    if len(report) <= limit:
        return report
    pointer = f"\n\n**The rest is in [the review's artifact]({link}).**\n"
    cut = report[: limit - len(pointer)]
    # Before the last <details>, if there is one: a cut inside of it would hide the link.
    end = next(at for start in ("\n<details", "\n#", "\n", "") if (at := cut.rfind(start)) > 0)
    return cut[:end].rstrip() + pointer


def post_comment(github: GitHub, number: int, sha: str, report: str, link: str) -> str:
    """Create or update the comment, and return how: "CML" or "REST"."""
    text = shorten(report, link)
    if shutil.which("cml") and _is_safe_for_cml(_list_comments(github, number)) and _post_with_cml(number, text):
        return "CML"
    body = f"{text}\n\n{watermark(sha)}"
    if not (own := _list_own_comments(github, number)):
        github.create_comment(number, body)
        # Two runs at once may both have created a comment: the older one stays.
        own = _list_own_comments(github, number)
    for comment in own[1:]:
        github.delete_comment(comment["id"])
    if own and own[0]["body"] != body:
        github.update_comment(own[0]["id"], body)
    return "REST"


def _list_own_comments(github: GitHub, number: int) -> list[Json]:
    """List the marked comments by us, the oldest first; comments by others are never changed."""
    return [comment for comment in _list_comments(github, number) if _is_marked(comment) and _is_own(comment)]


def _is_safe_for_cml(comments: list[Json]) -> bool:
    """Return whether CML would create or update our comment and no other.

    CML updates the newest marked comment of the 30 oldest comments, by any author, and creates a comment if none of
    the 30 is marked.
    """
    marked = [position for position, comment in enumerate(comments) if _is_marked(comment)]
    if not marked:
        return len(comments) < _CML_PAGE
    return len(marked) == 1 and marked[0] < _CML_PAGE and _is_own(comments[marked[0]])


def _list_comments(github: GitHub, number: int) -> list[Json]:
    return sorted(github.comments(number), key=lambda comment: int(comment["id"]))


def _is_marked(comment: Json) -> bool:
    """Return whether a comment has the watermark; anybody can write one."""
    return bool(_WATERMARK.search(comment.get("body") or ""))


def _is_own(comment: Json) -> bool:
    """Return whether our login wrote a comment, and our app where GitHub names one."""
    app = comment.get("performed_via_github_app")
    login = (comment.get("user") or {}).get("login")
    return bool(login == OUR_LOGIN and (app is None or f"{app['slug']}[bot]" == OUR_LOGIN))


def _post_with_cml(number: int, text: str) -> bool:
    """Post with CML; return False if that fails for any reason."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.md"
        path.write_text(text, encoding="utf-8")
        command = ["cml", "comment", "update", "--publish=false", f"--watermark-title={TITLE}", f"--target=pr/{number}"]
        env = {
            **{name: value for name, value in os.environ.items() if name != "BOT_TOKEN"},
            "REPO_TOKEN": os.environ.get("GITHUB_TOKEN", ""),
            "ITERATIVE_DO_NOT_TRACK": "1",
            # CML adds safe.directory = * to git's global configuration.
            "HOME": folder,
            "GIT_CONFIG_GLOBAL": str(Path(folder) / ".gitconfig"),
        }
        try:
            subprocess.run([*command, path], env=env, timeout=_CML_TIMEOUT, stdin=subprocess.DEVNULL, check=True)
            return True
        except (OSError, subprocess.SubprocessError):
            return False
