"""Git's origin, reached with the token of the job and, in CI, under the name of the bot."""

from __future__ import annotations

import base64
import os
import subprocess

from pipelines.cli.errors import Unreachable
from pipelines.repository.git import git, try_git

BOT = {
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "github-actions[bot]",
    "GIT_COMMITTER_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


def author() -> dict[str, str]:
    """The environment of a git command that commits or tags: the bot's name if git has no user name."""
    return BOT if try_git("var", "GIT_COMMITTER_IDENT") is None else {}


def read_ref(ref: str) -> str | None:
    """The commit of a branch on origin now, or None.

    Raises:
        Unreachable: if origin cannot be reached.
    """
    for line in _ask("ls-remote", "origin", ref).splitlines():
        sha, _, name = line.partition("\t")
        if name == ref:
            return sha
    return None


def main() -> str | None:
    """The commit of main on origin now, fetched; None without an origin.

    Raises:
        Unreachable: if origin cannot be reached, or has no main.
    """
    if try_git("remote", "get-url", "origin") is None:
        return None
    _ask("fetch", "--quiet", "origin", "+refs/heads/main:refs/remotes/origin/main")
    return git("rev-parse", "refs/remotes/origin/main")


def fetch(commit: str) -> None:
    """Fetch a commit of origin by its hash, without tags.

    Raises:
        Unreachable: if origin cannot be reached, or does not serve that commit.
    """
    _ask("fetch", "--quiet", "--no-tags", "origin", commit)


def run_git(*arguments: str) -> str:
    """Run a git command that talks to origin, with GITHUB_TOKEN in the environment: not in an argument, not on disk.

    Raises:
        subprocess.CalledProcessError: if git fails.
    """
    return git(*arguments, env=_with_token())


def _ask(*arguments: str) -> str:
    try:
        return run_git(*arguments)
    except subprocess.CalledProcessError as error:
        raise Unreachable(
            f"origin cannot be reached: {(error.stderr or '').strip()}",
            "Fix the network or the permission to read origin, then run this again.",
        ) from error


def _with_token() -> dict[str, str]:
    token = os.environ.get("GITHUB_TOKEN", "")
    if not token:
        return {}
    at = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": str(at + 1),
        f"GIT_CONFIG_KEY_{at}": f"http.{server}/.extraheader",
        f"GIT_CONFIG_VALUE_{at}": f"AUTHORIZATION: basic {basic}",
    }
