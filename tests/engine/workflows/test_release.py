"""release.yml and rollback.yml: from a merge to the model that answers, and back.

Needs a Docker engine and a registry besides what other workflow tests need: the small problem, act, emulate and Prism.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.fixtures_repo import Repo
from tests.engine.release.engine import ImageRegistry, free_port, remove_containers
from tests.engine.workflows.acting import Run
from tests.engine.workflows.github_accounts import BOB
from tests.engine.workflows.github_fake import GitHubFake, permissions
from tests.engine.workflows.world import World, docs, tune

pytestmark = pytest.mark.engine
STEPS = ["actions/checkout", "./.github/actions/setup", "image", "release"]


@pytest.fixture
def shop_world(base_shop: Path, hub: ImageRegistry, github: GitHubFake, tmp_path: Path) -> Iterator[World]:
    """acme/fraud whose images go to the registry on loopback, and which answers on a port of this machine."""
    made = World(base_shop.parent, tmp_path, github)
    name = f"{tmp_path.parent.name}-{tmp_path.name}".lower().replace("_", "-")
    made.runner.variables |= {
        "IMAGE_REPOSITORY": f"{hub.host}/{name}",
        "SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "OPERATIONS_URL": f"http://127.0.0.1:{free_port()}",
    }
    yield made
    assert github.invalid == []
    remove_containers(line_of(made))


def line_of(world: World) -> str:
    """The name of the line of releases."""
    text = world.show("main:params.yaml")
    return next(line.split(": ")[1] for line in text.splitlines() if line.startswith("model_name:"))


def info(world: World) -> dict[str, Any]:
    """What production answers."""
    with urllib.request.urlopen(f"{world.runner.variables['SERVICE_URL']}/info", timeout=10) as answer:
        return json.load(answer)


def rows(limit: int):
    """A change of the service's settings: another identity of the same model."""
    return lambda repo: repo.params(lambda document: document["serving"].update(max_batch_rows=limit))


def retrain(world: World, repo: Repo) -> None:
    """Another model, reproduced as its author or the bot does."""
    tune(repo)
    world.reproduce(repo)


def tags(run: Run, world: World) -> list[str]:
    """The tags that a run's job pushed."""
    return [push.ref.removeprefix("refs/tags/") for push in world.pushes if push.ref.startswith("refs/tags/")]


def succeeded(run: Run, job: str = "release") -> Run:
    """The same run, after a look at how it ended."""
    jobs = {"verify", "release"} if job == "release" else {job}
    assert run.conclusions == dict.fromkeys(jobs, "success"), run.log
    return run


def test_a_merge_is_released_with_who_approved_it_and_its_rollback_comes_back_through_a_pull_request(
    shop_world: World,
) -> None:
    world = shop_world
    line = line_of(world)
    first = succeeded(world.release())
    assert first.ran("release") == STEPS
    assert info(world)["version"] == f"{line}@v1.0.0"

    number = world.open(lambda repo: retrain(world, repo))
    head = world.tip(world.ref(number))
    for check in ("review", "test"):
        body = {"name": check, "head_sha": head, "status": "completed", "conclusion": "success"}
        world.github.ask("POST", "/check-runs", body)
    world.github.approve(number, BOB)
    merged = world.merge(number)
    before = len(world.github.requests)
    second = succeeded(world.release(71))
    assert tags(second, world)[2:] == [f"{line}@v1.1.0", f"{line}#production#2"]
    assert {push.job for push in world.pushes} == {"release"}
    assert info(world)["version"] == f"{line}@v1.1.0"
    said = world.show(f"{line}#production#2", "--no-patch", "--format=")
    assert f"main_commit: {merged}" in said and f"pull_request: {number}" in said
    assert "approved_by:\n- bob" in said and "bypassed: false" in said
    assert f"| {line}@v1.1.0 |" in second.jobs["release"].summary and "`bob`" in second.jobs["release"].summary
    release = world.github.ask("GET", f"/releases/tags/{line}@v1.1.0")
    assert release["tag_name"] == f"{line}@v1.1.0" and f"#{number}" in release["body"]
    needed = permissions(world.github.requests[before:])
    assert needed == {"contents": "write", "pull-requests": "read", "checks": "read"}

    world.merge(world.open(docs))
    again = succeeded(world.release(72))
    assert "Nothing to release" in again.log and len(tags(again, world)) == 4

    back = succeeded(world.rollback(), "rollback")
    (pull,) = world.github.ask("GET", "/pulls?state=open")
    assert pull["title"] == f"Roll back to {line}@v1.0.0" and pull["head"]["ref"].startswith("rollback/")
    tip = world.tip(f"refs/heads/{pull['head']['ref']}")
    assert world.github.checks(tip) == {"review": "success"}
    assert [started for started, _ in world.github.dispatches] == ["test.yml"]
    (comment,) = world.github.comments(pull["number"])
    assert "which was released before" in comment
    assert "restore" in back.jobs["rollback"].summary

    reverted = world.merge(pull["number"], pull["title"])
    third = succeeded(world.release(73))
    assert "Building the image" not in third.log
    assert tags(third, world)[4:] == [f"{line}#production#3"]
    assert info(world)["version"] == f"{line}@v1.0.0"
    assert f"main_commit: {reverted}" in world.show(f"{line}#production#3", "--no-patch", "--format=")


def test_without_remote_and_cache_the_model_comes_from_the_reviews_artifact_and_its_image_is_signed_once(
    shop_world: World, base_shop: Path, tmp_path: Path
) -> None:
    world = shop_world
    number = world.open(rows(9_000))
    merged = world.merge(number)
    handover = tmp_path / "handover"
    (handover / "models").mkdir(parents=True)
    named = world.show(f"{merged}:dvc.lock")
    from pipelines.repository import dvc_lock

    for path, md5 in dvc_lock.outputs(named).items():
        if path in ("models/model.onnx", "models/signature.json"):
            (handover / path).write_bytes((base_shop.parent / "cache/files/md5" / md5[:2] / md5[2:]).read_bytes())
    world.use_cache(None)
    hostile = tmp_path / "hostile"
    (hostile / "models").mkdir(parents=True)
    for name in ("model.onnx", "signature.json"):
        (hostile / "models" / name).write_bytes(b"another")
    world.github.artifact(5, "review", handover)
    world.github.artifact(6, "review", hostile)  # newer, and not what was reviewed
    world.github.artifact(7, "review", b"no zip")
    world.runner.variables["SIGN_IMAGES"] = "true"
    run = succeeded(world.release())
    assert f"the model comes from the review of pull request {number}" in run.log
    assert run.ran("release") == [*STEPS[:2], "./.github/actions/cosign", "image", "./.github/actions/sign", "release"]
    assert "Signed by https://github.com/acme/fraud/.github/workflows/release.yml@refs/heads/main." in run.log
    again = succeeded(world.release(71))
    assert again.ran("release") == [*STEPS[:2], "./.github/actions/cosign", *STEPS[2:]]
