"""Helpers of the tests with a Docker engine: commit to a team's repository, and read what is in production."""

import json
import subprocess
import urllib.request
from contextlib import chdir
from typing import Any

from click.testing import CliRunner
from gto.cli import app

from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository, docker

LIMIT = 9_999  # another max_batch_rows gives the same model another release id


def replicas_of(shop: TeamRepository) -> list[str]:
    """Return the names of the service's containers."""
    label = f"--filter=label=mainline.model={shop.model_name}"
    return docker("ps", "--all", "--format={{.Names}}", label).split()


def info(shop: TeamRepository) -> dict[str, Any]:
    """Return the response of the service's /info."""
    with urllib.request.urlopen(f"{shop.url}/info", timeout=10) as answer:
        return json.load(answer)


def another(shop: TeamRepository, limit: int = LIMIT) -> str:
    """Push a change of the service's settings to main; return the commit."""
    shop.repo.params(lambda document: document["serving"].update(max_batch_rows=limit))
    return shop.commit(f"Take {limit} rows")


def revert(shop: TeamRepository, commit: str = "HEAD") -> str:
    """Revert a commit on main and push; return the new commit."""
    shop.repo.git("revert", "--no-edit", commit)
    shop.repo.git("push", "--quiet", "origin", "main")
    return shop.repo.git("rev-parse", "HEAD")


def digest_of(shop: TeamRepository, tag: str) -> str:
    """Return the digest of a tag in the image registry."""
    done = subprocess.run(
        ["skopeo", "inspect", "--no-tags", "--tls-verify=false", "--format", "{{.Digest}}",
         f"docker://{shop.hub.host}/{shop.image_name}:{tag}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def gto(shop: TeamRepository, *command: str) -> str:
    """Return what `gto` prints; it runs in this process, because its imports are slow."""
    with chdir(shop.repo.path):
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def read_status(shop: TeamRepository) -> list[dict[str, Any]]:
    """Return the rows of `release status --json`, the newest first."""
    return json.loads(must(verb(shop.repo, "release", "status", "--json", **shop.environment)).out)


def check(shop: TeamRepository, version: str, counter: int) -> None:
    """Check that git, GTO, image registry and service agree on what is in production."""
    history = read_status(shop)
    now = history[0]
    assert (now["version"], now["assignment"]) == (version, f"{shop.model_name}#production#{counter}")
    assert (info(shop)["release"], info(shop)["version"]) == (now["release"], version)
    assert digest_of(shop, "production") == now["image"].partition("@")[2]
    running = docker("inspect", "--format", "{{.Config.Image}}", *replicas_of(shop)).split()
    assert set(running) == {now["image"]}
    assert gto(shop, "show", f"{shop.model_name}#production", "--ref") == version
    events = json.loads(gto(shop, "history", shop.model_name, "--json"))
    assigned = [event["ref"] for event in events if event["event"] == "assignment" and event["stage"] == "production"]
    assert assigned == [row["assignment"] for row in history]
