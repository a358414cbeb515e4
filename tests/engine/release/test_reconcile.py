"""Reconciling with git in a real repository with an origin; Docker engine and image registry are fakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import Unreachable
from pipelines.release import deploy, ensure_image, signatures, smoke_test
from pipelines.release.image_registry import ImageRegistry
from pipelines.repository import tags
from pipelines.repository.dvc_remote import default_remote
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from tests.engine.release.release_world import World, digest, reference, refuse
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world

pytestmark = pytest.mark.repository


def test_deploy_command_of_the_checkout_is_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.commit_model("m1")
    world.release()
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m2", serving={**serving, "deploy": ["./deploy.sh"]})
    world.release()
    world.service, seen = "something else", []
    monkeypatch.setattr(deploy, "deploy", lambda params, *rest: seen.append((params.serving.deploy, rest[0])))
    monkeypatch.setattr(deploy, "ensure_in_production", lambda _, version: seen.append((None, version.release_id)))
    newest = release_id("HEAD")
    git("checkout", "--quiet", old)
    world.release()
    assert seen == [(None, newest)]
    world.service = "something else"
    git("checkout", "--quiet", "main")
    world.release("reconcile")
    assert seen[1:] == [(("./deploy.sh",), newest)]


def test_next_release_rebuilds_a_lost_image_and_records_it(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live.lost.add(digest(release_id("HEAD")))
    monkeypatch.setattr(ensure_image, "ensure_image", lambda *_: (reference("c" * 12), True))
    live.commit("document it")
    out = live.release()
    assert "Nothing to release" in out and "recorded by fraud#production#2" in out
    live.check("m1", "fraud@v1.0.0", 2)


def test_service_is_restored_while_the_image_registry_is_away(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_connection(*_: object) -> bool:
        raise Unreachable("the image registry is away", "Wait.")

    monkeypatch.setattr(ImageRegistry, "has_image", refuse_connection)
    live.service = "something else"
    assert "the image registry is away" in live.release("reconcile", code=3)
    assert live.service == live.deployed[0]


def test_rebuilt_image_with_the_same_digest_is_not_recorded(live: World) -> None:
    live.lost.add(digest(release_id("HEAD")))
    assert "The image of fraud@v1.0.0 is gone." in live.release("reconcile")
    live.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("check", [(signatures, "verify_signature"), (smoke_test, "run_smoke_test")])
def test_rebuilt_image_must_be_signed_and_pass_the_smoke_test(
    live: World, monkeypatch: pytest.MonkeyPatch, check: tuple[Any, str]
) -> None:
    live.lost.add(digest(release_id("HEAD")))
    monkeypatch.setattr(ensure_image, "ensure_image", lambda *_: (reference("c" * 12), True))
    monkeypatch.setattr(*check, refuse)
    live.release("reconcile", code=1)
    live.check("m1", "fraud@v1.0.0", 1)


def test_reconcile_configures_the_dvc_remote_of_the_environment(live: World, tmp_path: Path) -> None:
    live.release("reconcile", DVC_REMOTE_URL=str(tmp_path / "remote"))
    assert default_remote()


def test_assignment_without_a_version_is_refused(live: World) -> None:
    annotation = tags.list_assignments("fraud")[0].annotation.model_copy(
        update={"release": "b" * 12, "version": "fraud@v9.0.0"}
    )
    git("tag", "--annotate", "--cleanup=verbatim", "-m", annotation.to_yaml(), "fraud#production#2",
        env={"GIT_COMMITTER_DATE": "4000000000 +0000"})  # fmt: skip
    git("push", "--quiet", "origin", "fraud#production#2")
    assert "no version's tag registers it" in live.release("reconcile", code=1)
    assert len(live.deployed) == 1
