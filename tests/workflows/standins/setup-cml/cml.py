"""Stand-in of CML 0.20.6: takes the one documented command line in use, and posts as CML does.

`cml comment update --publish=false --watermark-title=TITLE --target=pr/NUMBER FILE`, token in REPO_TOKEN. It fails
where HARNESS_CML is `failing`, before anything is posted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import requests


def main(arguments: list[str]) -> int:
    """Make or update the comment."""
    if arguments[:2] != ["comment", "update"] or len(arguments) != 6:
        print(f"Unknown arguments: {arguments}", file=sys.stderr)
        return 1
    *options, file = arguments[2:]
    given = dict(option.split("=", 1) for option in options)
    if given.keys() != {"--publish", "--watermark-title", "--target"} or given["--publish"] != "false":
        print(f"Unknown or missing options: {options}", file=sys.stderr)
        return 1
    target = re.fullmatch(r"pr/(\d+)", given["--target"])
    if target is None or not os.environ.get("REPO_TOKEN"):
        print("target is not pr/NUMBER, or no token", file=sys.stderr)
        return 1
    if os.environ.get("HARNESS_CML") == "failing":
        print("connect ECONNREFUSED", file=sys.stderr)
        return 1
    title = given["--watermark-title"]
    sha = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    body = f'{Path(file).read_text()}\n\n![](https://cml.dev/watermark.png#{sha} "CML watermark {title}")'
    url = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['REPO_TOKEN']}"
    comments = session.get(f"{url}/{target[1]}/comments", params={"per_page": 100}, timeout=30).json()
    known = [each["id"] for each in comments if f'"CML watermark {title}"' in each["body"]]
    if known:
        answer = session.patch(f"{url}/comments/{known[0]}", json={"body": body}, timeout=30)
    else:
        answer = session.post(f"{url}/{target[1]}/comments", json={"body": body}, timeout=30)
    answer.raise_for_status()
    print(answer.json()["html_url"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
