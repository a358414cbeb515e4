"""The one sticky comment of a pull request: by CML where it is there and works, else over REST with its watermark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipelines.github.client import GitHub, Json

TITLE = "mainline-review"
LIMIT = 65_536  # characters of a comment, by GitHub
_WATERMARK = re.compile(rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)')


def watermark(sha: str) -> str:
    """What CML appends to its comments (src/watermark.js of CML 0.20.6), by which either of us finds the comment."""
    return f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def fitting(report: str, link: str, room: int = 2_000) -> str:
    """A report that fits into a comment: cut before the section that would overflow, with a link."""
    limit = LIMIT - room
    if len(report) <= limit:
        return report
    pointer = f"\n\n**The rest is in [the review's artifact]({link}).**\n"
    cut = report[: limit - len(pointer)]
    starts = [match.start() for match in re.finditer(r"^(?:#{1,6} |<details>)", cut, re.MULTILINE)]
    # Inside an open <details> a cut would swallow what follows.
    whole = [at for at in starts if at and cut.count("<details", 0, at) == cut.count("</details>", 0, at)]
    end = whole[-1] if whole else cut.rfind("\n") + 1 or len(cut)
    return cut[:end].rstrip() + pointer


def post(github: GitHub, number: int, sha: str, report: str, link: str) -> str:
    """Make or update the comment; returns by which way.

    Raises:
        Unreachable, Refused, InputError: as GitHub answers.
    """
    text = fitting(report, link)
    marked = _marked(github, number)
    # CML updates the newest comment with its mark, whoever wrote it; in somebody else's name no report is posted.
    if shutil.which("cml") and all(map(_by_bot, marked[-1:])) and _by_cml(number, text):
        return "CML"
    body = f"{text}\n\n{watermark(sha)}"
    if not (known := _ours(github, number)):
        github.create_comment(number, body)
        # GitHub cannot make a comment only where there is none: of two runs at once the older comment stays.
        known = _ours(github, number)
    for comment in known[1:]:
        github.delete_comment(comment["id"])
    if known and known[0]["body"] != body:
        github.update_comment(known[0]["id"], body)
    return "REST"


def _ours(github: GitHub, number: int) -> list[Json]:
    """Our comments, the oldest first: nobody else's is changed."""
    return [comment for comment in _marked(github, number) if _by_bot(comment)]


def _marked(github: GitHub, number: int) -> list[Json]:
    """The comments with our mark, the oldest first; anybody may write one."""
    found = (comment for comment in github.comments(number) if _WATERMARK.search(comment.get("body") or ""))
    return sorted(found, key=lambda comment: int(comment["id"]))


def _by_bot(comment: dict[str, dict[str, str]]) -> bool:
    return (comment.get("user") or {}).get("type") == "Bot"


def _by_cml(number: int, text: str) -> bool:
    """Post by CML; False where it fails, whatever the reason."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.md"
        path.write_text(text, encoding="utf-8")
        command = ["cml", "comment", "update", "--publish=false", f"--watermark-title={TITLE}", f"--target=pr/{number}"]
        env = {
            **os.environ,
            "REPO_TOKEN": os.environ.get("GITHUB_TOKEN", ""),
            "ITERATIVE_DO_NOT_TRACK": "1",
            "GIT_CONFIG_GLOBAL": str(Path(folder) / "gitconfig"),  # CML writes safe.directory = * into it
        }
        try:
            done = subprocess.run([*command, str(path)], env=env, timeout=120, stdin=subprocess.DEVNULL, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0
