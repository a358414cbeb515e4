"""Recorder of CML 0.20.6: takes the one documented command line in use, refuses any other, and posts as CML does.

`cml comment update --publish=false --watermark-title=TITLE --target=pr/NUMBER report.md`, with REPO_TOKEN and
ITERATIVE_DO_NOT_TRACK=1. As CML does, it looks at the 30 oldest comments and no more.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import requests


def main(arguments: list[str]) -> int:
    """Make or update the comment."""
    command = re.fullmatch(
        r"comment update --publish=false --watermark-title=(mainline-review) --target=pr/(\d+) (\S+/report\.md)",
        " ".join(arguments),
    )
    if command is None or not os.environ.get("REPO_TOKEN") or os.environ.get("ITERATIVE_DO_NOT_TRACK") != "1":
        print(f"Not the documented command line, no token, or tracked: {arguments}", file=sys.stderr)
        return 1
    title, number, file = command.groups()
    sha = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    body = f'{Path(file).read_text()}\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark {title}")'
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['REPO_TOKEN']}"
    comments = session.get(f"{url}/{number}/comments", params={"per_page": 30}, timeout=30).json()
    known = [each["id"] for each in comments if f'"CML watermark {title}"' in each["body"]]
    if known:  # the newest, whoever wrote it
        answer = session.patch(f"{url}/comments/{known[-1]}", json={"body": body}, timeout=30)
    else:
        answer = session.post(f"{url}/{number}/comments", json={"body": body}, timeout=30)
    answer.raise_for_status()
    print(answer.json()["html_url"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
