"""Git's origin, reached with the token of the job and, in CI, under the name of the bot."""

import base64
import os
import subprocess

from pipelines.cli.errors import Unreachable
from pipelines.repository.git import git, has_origin, try_git

_NAME, _EMAIL = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"
BOT = {
    **{"GIT_AUTHOR_NAME": _NAME, "GIT_AUTHOR_EMAIL": _EMAIL},
    **{"GIT_COMMITTER_NAME": _NAME, "GIT_COMMITTER_EMAIL": _EMAIL},
}


def author() -> dict[str, str]:
    """Return the environment of a git command that commits or tags: the bot's name if git has no user name."""
    return BOT if try_git("var", "GIT_COMMITTER_IDENT") is None else {}


def read_ref(ref: str) -> str | None:
    """Return the commit of a branch on origin, or None; raise Unreachable if origin does not respond."""
    lines = read("ls-remote", "origin", ref).splitlines()
    return next((line.partition("\t")[0] for line in lines if line.endswith(f"\t{ref}")), None)


def main() -> str | None:
    """Fetch main and return its commit, or None without an origin; raise Unreachable if origin does not respond."""
    if not has_origin():
        return None
    read("fetch", "--quiet", "origin", "+refs/heads/main:refs/remotes/origin/main")
    return git("rev-parse", "refs/remotes/origin/main")


def fetch(commit: str) -> None:
    """Fetch a commit by its hash, without tags; raise Unreachable if origin does not respond, or does not serve it."""
    read("fetch", "--quiet", "--no-tags", "origin", commit)


def read(*arguments: str) -> str:
    """Run a git command that reads from origin; raise Unreachable with git's message if it fails."""
    try:
        return run_git(*arguments)
    except subprocess.CalledProcessError as error:
        raise Unreachable(
            f"origin cannot be reached: {(error.stderr or '').strip()}",
            "Fix the network or the permission to read origin, then run this again.",
        ) from error


def run_git(*arguments: str) -> str:
    """Run a git command that connects to origin with a token, which is neither in an argument nor on disk.

    BOT_TOKEN, the token of an app, goes before GITHUB_TOKEN: workflows run for what it pushes.
    """
    token = os.environ.get("BOT_TOKEN") or os.environ.get("GITHUB_TOKEN", "")
    if not token:
        return git(*arguments)
    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    env = {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{server}/.extraheader",
        f"GIT_CONFIG_VALUE_{count}": f"AUTHORIZATION: basic {basic}",
    }
    return git(*arguments, env=env)
