"""What tests with a Docker engine do to a team's repository, and what they read from it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from contextlib import chdir
from typing import Any

from click.testing import CliRunner
from gto.cli import app

from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository, docker

LIMIT = 9_999  # another max_batch_rows makes another identity of the same model


def info(shop: TeamRepository) -> dict[str, Any]:
    """What production answers."""
    with urllib.request.urlopen(f"{shop.url}/info", timeout=10) as answer:
        return json.load(answer)


def another(shop: TeamRepository, limit: int = LIMIT) -> str:
    """Merge a change of the service's settings; its commit."""
    shop.repo.params(lambda document: document["serving"].update(max_batch_rows=limit))
    return shop.commit(f"Take {limit} rows")


def revert(shop: TeamRepository, commit: str = "HEAD") -> str:
    """`git revert` on main; its commit."""
    shop.repo.git("revert", "--no-edit", commit)
    shop.repo.git("push", "--quiet", "origin", "main")
    return shop.repo.git("rev-parse", "HEAD")


def digest_of(shop: TeamRepository, tag: str) -> str:
    """The digest that a tag of the registry has."""
    done = subprocess.run(
        ["skopeo", "inspect", "--no-tags", "--tls-verify=false", "--format", "{{.Digest}}",
         f"docker://{shop.hub.host}/{shop.image_name}:{tag}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def gto(shop: TeamRepository, *command: str) -> str:
    """What `gto` prints; in this process, since its imports take longer than all it does."""
    with chdir(shop.repo.path):
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def read_status(shop: TeamRepository) -> list[dict[str, Any]]:
    """`release status --json`, the newest first."""
    return json.loads(must(verb(shop.repo, "release", "status", "--json", **shop.environment)).out)


def check(shop: TeamRepository, version: str, counter: int) -> None:
    """Git, GTO, registry and service agree on what is in production."""
    history = read_status(shop)
    now = history[0]
    assert (now["version"], now["assignment"]) == (version, f"{shop.model_name}#production#{counter}")
    assert (info(shop)["release"], info(shop)["version"]) == (now["release"], version)
    assert digest_of(shop, "production") == now["image"].partition("@")[2]
    running = docker("inspect", "--format", "{{.Config.Image}}", f"{shop.model_name}-production")
    assert running == now["image"]
    assert f"{shop.model_name}-before" not in docker("ps", "--all", "--format", "{{.Names}}").split()
    assert gto(shop, "show", f"{shop.model_name}#production", "--ref") == version
    events = json.loads(gto(shop, "history", shop.model_name, "--json"))
    assigned = [event["ref"] for event in events if event["event"] == "assignment"]
    assert assigned == [row["assignment"] for row in history]
