"""What a release decides, in a real repository with an origin; Docker engine and image registry are fakes.

tests/engine/release/test_release.py runs the same with a Docker engine and a registry.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import Refused
from pipelines.model.signature import Signature
from pipelines.release import approvals, deploy, ensure_image, fetch_model, flow, signatures, smoke_test, tagging
from pipelines.release.image_registry import ImageRegistry
from pipelines.repository import tags
from pipelines.repository.dvc_remote import default_remote
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from tests.engine.fixtures_repo import PARAMS
from tests.engine.in_process import must, verb
from tests.engine.release.tag_repository import CONTRACT
from tests.engine.release.tag_repository import tag_repository as tag_repository

pytestmark = pytest.mark.repository
SIGNATURE = Signature.from_json({"example": {}, **CONTRACT})
ENSURE_IMAGE = ensure_image.ensure_image


@dataclass
class World:
    """A clone with an origin, and what a release does outside of git.

    Attributes:
        service: the release that production answers.
        deployed: releases in the order of their deployment.
        lost: whether the registry has lost every image that it had.
        broken: the release whose deployment fails once the service has been exchanged.
    """

    clone: Path
    service: str | None = None
    deployed: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    broken: str | None = None
    production: str | None = None

    def commit_model(self, model: str, push: bool = True, **params: Any) -> str:
        """Commit a model (its md5) to main; return the commit."""
        files = {"model.onnx": model, "signature.json": "s"}
        outputs = [{"path": f"models/{name}", "md5": md5} for name, md5 in files.items()]
        (self.clone / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"export": {"outs": outputs}}}))
        if params:
            path = self.clone / "params.yaml"
            path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **params}))
        return self.commit(f"model {model}", push)

    def commit(self, message: str, push: bool = True) -> str:
        git("add", "--all", cwd=self.clone)
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.clone)
        if push:
            git("push", "--quiet", "origin", "HEAD:main", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone)

    def release(self, *arguments: str, code: int = 0, where: Path | None = None, **environment: str) -> str:
        """`python -m pipelines release run` (or another action); what it printed."""
        return must(verb(where or self.clone, "release", *(arguments or ("run",)), **environment), code).out

    def other(self, name: str = "other") -> World:
        """Another clone of the same world."""
        folder = self.clone.parent / name
        git("clone", "--quiet", str(self.clone.parent / "origin.git"), str(folder))
        made = World(folder)
        made.__dict__ |= {key: value for key, value in self.__dict__.items() if key != "clone"}
        return made

    def at_origin(self) -> list[str]:
        """The names of origin's tags."""
        listed = git("ls-remote", "--tags", "--refs", "origin", cwd=self.clone).splitlines()
        return [entry.partition("refs/tags/")[2] for entry in listed]

    def check(self, model: str, version: str, counter: int) -> None:
        """Service, registry and a fresh clone's tags agree on what is in production."""
        folder = self.clone.parent / f"seen-{counter}"
        git("clone", "--quiet", str(self.clone.parent / "origin.git"), str(folder))
        (now, *_) = json.loads(self.release("status", "--json", where=folder))
        assert (now["version"], now["assignment"], now["model"]) == (version, f"fraud#production#{counter}", model)
        assert (self.service, self.production) == (now["release"], now["image"].partition("@")[2])


def digest(release: str) -> str:
    return f"sha256:{(release * 6)[:64]}"


@pytest.fixture
def world(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose main has the settings of this repository and no model yet."""
    shutil.copy(PARAMS, tag_repository)
    for name, text in {"serving/service.py": "1", "requirements/serving.txt": "x", ".dvc/config": ""}.items():
        (tag_repository / name).parent.mkdir(exist_ok=True)
        (tag_repository / name).write_text(text)
    monkeypatch.setenv("IMAGE_REPOSITORY", "127.0.0.1:5000/fraud")
    monkeypatch.setenv("GITHUB_TOKEN", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = World(tag_repository)

    def exchange(params: Any, release: str, reference: str, version: str) -> None:
        made.service = release
        made.deployed.append(release)
        if made.broken == release:
            raise Refused("the deployment fails late", "Fix it.")

    def move_tag(image_registry: ImageRegistry, tag: str, to: str) -> None:
        made.production = to

    monkeypatch.setattr(ensure_image, "ensure_image", lambda target, *_: (digest(target.release_id), True))
    monkeypatch.setattr(smoke_test, "run_smoke_test", lambda reference, target: SIGNATURE)
    monkeypatch.setattr(deploy, "deploy", exchange)
    monkeypatch.setattr(deploy, "is_running", lambda params, release, reference: made.service == release)
    monkeypatch.setattr(ImageRegistry, "has_image", lambda _, image_digest: image_digest not in made.lost)
    monkeypatch.setattr(ImageRegistry, "find_digest", lambda _, tag: made.production)
    monkeypatch.setattr(ImageRegistry, "move_tag", move_tag)
    return made


@pytest.fixture
def live(world: World) -> World:
    """A world whose model `m1` is in production, as fraud@v1.0.0 by fraud#production#1."""
    world.commit_model("m1")
    world.release()
    return world


def act_after_call(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, action: Callable[[], object]) -> None:
    """Run an action once, after the first call of a function."""
    real = getattr(module, name)

    def call(*arguments: Any) -> Any:
        result = real(*arguments)
        monkeypatch.setattr(module, name, real)
        action()
        return result

    monkeypatch.setattr(module, name, call)


def refuse(reference: str, *_: Any) -> Any:
    """Stands for a check of an image that fails."""
    raise Refused(f"{reference} is refused", "Look at it.")


def kill_before_push(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the process end just before it pushes a tag of a kind."""
    real = tagging._push_tag

    def push(tag: str, *rest: str) -> None:
        if kind in tag:
            raise KeyboardInterrupt
        real(tag, *rest)

    monkeypatch.setattr(tagging, "_push_tag", push)


@pytest.mark.parametrize("kind", ["fraud@v", "fraud#production#"])
def test_killed_before_a_tag_is_pushed_nothing_counts_and_the_next_run_makes_it(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    world.commit_model("m1")
    with monkeypatch.context() as killed:
        kill_before_push(killed, kind)
        world.release(code=130)
    assert not [tag for tag in git("tag").split() if kind in tag]
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)


def test_a_tag_that_was_never_pushed_does_not_count(live: World) -> None:
    annotation = tags.list_assignments("fraud")[0].annotation.model_copy(update={"release": "b" * 12})
    git("tag", "--annotate", "--cleanup=verbatim", "-m", annotation.to_yaml(), "fraud#production#2")
    live.release("reconcile")
    assert git("tag").split() == ["fraud#production#1", "fraud@v1.0.0"]
    live.check("m1", "fraud@v1.0.0", 1)


def test_a_tag_that_another_clone_pushed_by_the_same_name_takes_the_place_of_ours(world: World) -> None:
    world.commit_model("m1")
    git("tag", "--annotate", "-m", "ours alone", "fraud@v1.0.0")
    other = world.other()
    world.release(where=other.clone)
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)


def test_tags_of_other_models_and_of_people_are_kept(world: World) -> None:
    world.commit_model("m1")
    for mine in ("before-the-rewrite", "churn@v1.0.0"):
        git("tag", mine)
    world.release()
    assert {"before-the-rewrite", "churn@v1.0.0"} < set(git("tag").split())


@pytest.mark.parametrize("action", ["run", "image"])
def test_only_what_is_on_main_is_released(live: World, action: str) -> None:
    git("checkout", "--quiet", "-b", "feature")
    live.commit_model("m2", push=False)
    assert "is not on origin's main" in live.release(action, code=2)
    live.check("m1", "fraud@v1.0.0", 1)


def test_approvers_of_a_model_are_recorded_also_where_a_document_is_released_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read_approval(commit: str) -> approvals.Approval:
        asked.append(commit)
        return approvals.Approval(7, ("bob",), False)

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    brought = world.commit_model("m1", model_name="fraud")
    world.commit_model("m1", retention={"keep_last": 7})
    docs = world.commit("document it")
    world.release()
    assert asked == [brought]
    assert tags.list_assignments("fraud")[0].main_commit == docs


def test_a_merge_commit_is_asked_for_and_not_the_branch_it_merged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read_approval(commit: str) -> approvals.Approval:
        asked.append(commit)
        return approvals.Approval()

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    world.commit_model("m1")
    git("checkout", "--quiet", "-b", "feature")
    world.commit_model("m2", push=False)
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "Merge it", "feature")
    merge = world.commit("and a document")
    world.release()
    assert asked == [git("rev-parse", f"{merge}^")]


def test_where_github_does_not_answer_nothing_is_deployed(live: World, monkeypatch: pytest.MonkeyPatch) -> None:

    def read_approval(commit: str) -> approvals.Approval:
        raise Refused("GitHub answers 403", "Fix the token.")

    monkeypatch.setattr(approvals, "read_approval", read_approval)
    live.commit_model("m2")
    live.release(code=1)
    assert len(live.deployed) == 1
    live.check("m1", "fraud@v1.0.0", 1)


def test_a_deployment_that_fails_late_is_restored(live: World) -> None:
    live.commit_model("m2")
    live.broken = release_id("HEAD")
    assert "fails late" in live.release(code=1)
    live.check("m1", "fraud@v1.0.0", 1)


def test_where_the_assignment_cannot_be_pushed_the_service_is_restored(live: World, tmp_path: Path) -> None:
    live.commit_model("m2")
    hook = tmp_path / "origin.git/hooks/update"
    hook.write_text('#!/bin/sh\ncase "$1" in *"#"*) echo "protected tag" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    assert "protected tag" in live.release(code=3)
    live.check("m1", "fraud@v1.0.0", 1)
    hook.unlink()
    live.release()
    live.check("m2", "fraud@v1.1.0", 2)


@pytest.mark.parametrize("by_hand", [("--annotate", "-m", "by a person"), ()])
def test_a_version_that_somebody_tagged_by_hand_is_skipped(live: World, by_hand: tuple[str, ...]) -> None:
    git("tag", *by_hand, "fraud@v1.1.0")
    git("push", "--quiet", "origin", "fraud@v1.1.0")
    live.commit_model("m2")
    live.release()
    live.check("m2", "fraud@v1.2.0", 2)


def test_an_assignment_that_somebody_tagged_by_hand_is_skipped(live: World) -> None:
    git("tag", "fraud#production#2")
    git("push", "--quiet", "origin", "fraud#production#2")
    live.commit_model("m2")
    live.release()
    live.check("m2", "fraud@v1.1.0", 3)


def test_a_metric_that_is_no_number_does_not_block_a_release(world: World) -> None:
    (world.clone / "reports").mkdir()
    metrics = '{"test": {"average_precision": NaN, "roc_auc": 0.9}}'
    (world.clone / "reports/metrics.json").write_text(metrics)
    world.commit_model("m1")
    world.release()
    world.check("m1", "fraud@v1.0.0", 1)
    assert "average_precision" not in tags.list_assignments("fraud")[0].annotation.metrics


def test_what_main_reverted_stays_out_also_when_main_went_on(live: World) -> None:
    reverted = live.commit_model("m2")
    live.commit_model("m1")
    live.commit_model("m3")  # not released yet
    git("checkout", "--quiet", reverted)
    assert "Superseded: main went back to fraud@v1.0.0" in live.release()
    live.check("m1", "fraud@v1.0.0", 1)


def test_a_revert_that_finds_nothing_to_release_while_the_reverted_is_assigned_wins(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.commit_model("m2")
    other, real = live.other(), tagging.assign_version

    def assign(*given: Any) -> tags.Assignment:
        monkeypatch.setattr(tagging, "assign_version", real)
        other.commit_model("m1")
        assert "Nothing to release" in live.release(where=other.clone)
        return real(*given)

    monkeypatch.setattr(tagging, "assign_version", assign)
    assert "main went back to fraud@v1.0.0 meanwhile" in live.release()
    live.check("m1", "fraud@v1.0.0", 3)


@pytest.mark.parametrize("step", ["register_version", "assign_version"])
def test_of_two_runs_in_one_clone_the_second_finds_what_the_first_has_made(
    live: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    live.commit_model("m2")
    real = getattr(tagging, step)

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(tagging, step, real)
        live.release()
        return real(*given)

    monkeypatch.setattr(tagging, step, meanwhile)
    live.release()
    assert live.at_origin() == ["fraud#production#1", "fraud#production#2", "fraud@v1.0.0", "fraud@v1.1.0"]
    live.check("m2", "fraud@v1.1.0", 2)


@pytest.mark.parametrize("step", [(flow, "_ensure_version"), (deploy, "deploy")])
def test_a_commit_that_a_later_one_supersedes_on_its_way_is_not_deployed_any_more_nor_assigned(
    live: World, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str]
) -> None:
    live.commit_model("m2")
    other, superseded = live.other(), release_id("HEAD")

    def release_later_commit() -> None:
        other.commit_model("m3")
        live.release(where=other.clone)

    act_after_call(monkeypatch, *step, release_later_commit)
    live.release()
    assert (superseded in live.deployed) == (step == (deploy, "deploy"))
    live.check("m3", "fraud@v1.2.0", 2)


def test_an_older_commit_of_the_same_release_does_not_overtake_the_one_in_production(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.commit_model("m1")
    other = world.other()
    later = other.commit("document it")
    act_after_call(monkeypatch, flow, "_ensure_version", lambda: world.release(where=other.clone))
    world.release()
    assert [each.main_commit for each in tags.list_assignments("fraud")] == [later]


def test_a_version_that_is_registered_after_the_versions_were_read_is_not_registered_twice(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.commit_model("m2")
    act_after_call(
        monkeypatch,
        smoke_test,
        "run_smoke_test",
        lambda: act_after_call(monkeypatch, tags, "list_versions", live.release),
    )
    live.release()
    assert live.at_origin() == ["fraud#production#1", "fraud#production#2", "fraud@v1.0.0", "fraud@v1.1.0"]


def test_a_later_commit_that_is_assigned_after_production_was_read_stays_in_production(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.commit_model("m2")
    other = live.other()

    def release_later_commit() -> None:
        other.commit_model("m3")
        live.release(where=other.clone)
        tags.fetch_tags("fraud")

    act_after_call(
        monkeypatch,
        deploy,
        "deploy",
        lambda: act_after_call(monkeypatch, flow, "_require_not_superseded", release_later_commit),
    )
    live.release()
    live.check("m3", "fraud@v1.2.0", 2)


def test_a_commit_with_a_model_name_that_main_has_changed_is_not_released(world: World) -> None:
    old = world.commit_model("m1")
    world.release()
    world.commit_model("m2", model_name="churn")
    world.release()
    now = world.service
    git("checkout", "--quiet", old)
    assert "main releases churn now" in world.release()
    assert world.service == now != release_id(old)


def test_the_deploy_command_is_the_one_of_the_checkout_not_of_the_commit_in_production(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = world.commit_model("m1")
    world.release()
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m2", serving={**serving, "deploy": ["./deploy.sh"]})
    world.release()
    world.service, seen = "something else", []
    monkeypatch.setattr(deploy, "deploy", lambda params, *rest: seen.append((params.serving.deploy, rest[0])))
    newest = release_id("HEAD")
    git("checkout", "--quiet", old)
    world.release()
    assert seen == [(None, newest)]
    world.service = "something else"
    git("checkout", "--quiet", "main")
    world.release("reconcile")
    assert seen[1:] == [(("./deploy.sh",), newest)]


def test_an_image_that_is_gone_is_built_again_by_whatever_release_comes_next(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.lost.add(digest(release_id("HEAD")))
    monkeypatch.setattr(ensure_image, "ensure_image", lambda *_: (digest("c" * 12), True))
    live.commit("document it")
    out = live.release()
    assert "Nothing to release" in out and "recorded by fraud#production#2" in out
    live.check("m1", "fraud@v1.0.0", 2)


def test_an_image_that_is_built_again_byte_for_byte_needs_no_record(live: World) -> None:
    live.lost.add(digest(release_id("HEAD")))
    assert "The image of fraud@v1.0.0 is gone." in live.release("reconcile")
    live.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("check", [(signatures, "verify_signature"), (smoke_test, "run_smoke_test")])
def test_an_image_that_is_built_again_must_be_signed_and_pass_the_smoke_test(
    live: World, monkeypatch: pytest.MonkeyPatch, check: tuple[Any, str]
) -> None:
    live.lost.add(digest(release_id("HEAD")))
    monkeypatch.setattr(ensure_image, "ensure_image", lambda *_: (digest("c" * 12), True))
    monkeypatch.setattr(*check, refuse)
    live.release("reconcile", code=1)
    live.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("check", [(signatures, "verify_signature"), (smoke_test, "run_smoke_test")])
def test_an_image_that_is_not_signed_or_fails_the_smoke_test_is_neither_registered_nor_deployed(
    live: World, monkeypatch: pytest.MonkeyPatch, check: tuple[Any, str]
) -> None:
    live.commit_model("m2")
    monkeypatch.setattr(*check, refuse)
    live.release(code=1)
    assert len(live.deployed) == 1
    assert live.at_origin() == ["fraud#production#1", "fraud@v1.0.0"]
    live.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("action", ["run", "image", "reconcile"])
def test_without_a_deploy_command_nothing_is_released_from_a_runner_that_github_deletes(
    live: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str
) -> None:
    live.commit_model("m2")
    live.service = None
    monkeypatch.setattr(ensure_image, "ensure_image", None)  # whoever calls it fails
    before = live.at_origin()
    out = live.release(
        action, RUNNER_ENVIRONMENT="github-hosted", IMAGE_REPOSITORY="", GITHUB_OUTPUT=str(tmp_path / "output")
    )
    (notice,) = out.splitlines()
    assert notice.startswith("::notice ") and "serving.deploy" in notice and "RELEASE_RUNNER" in notice
    assert (live.at_origin(), live.service, live.production) == (before, None, digest(live.deployed[0]))
    if action == "image":
        assert (tmp_path / "output").read_text() == "repository=\ndigest=\nbuilt=false\n"


@pytest.mark.parametrize(("runner", "command"), [("github-hosted", ["./deploy.sh"]), ("self-hosted", None)])
def test_with_a_deploy_command_or_a_runner_that_stays_it_is_released_and_reconciled(
    world: World, runner: str, command: list[str] | None
) -> None:
    serving = yaml.safe_load((world.clone / "params.yaml").read_text())["serving"]
    world.commit_model("m1", serving={**serving, "deploy": command})
    world.release(RUNNER_ENVIRONMENT=runner)
    world.service = None
    world.release("reconcile", RUNNER_ENVIRONMENT=runner)
    world.check("m1", "fraud@v1.0.0", 1)


@pytest.mark.parametrize("registered", [True, False])
def test_an_image_is_reused_only_if_it_is_signed(
    live: World, monkeypatch: pytest.MonkeyPatch, registered: bool
) -> None:
    built: list[str] = []
    monkeypatch.setattr(ensure_image, "ensure_image", ENSURE_IMAGE)
    monkeypatch.setattr(fetch_model, "fetch_model", lambda *_: "DVC's cache")
    monkeypatch.setattr(ensure_image, "build_image", lambda target, *_: built.append(target.release_id))
    monkeypatch.setattr(ensure_image, "push_image", lambda *_: None)
    if not registered:
        live.commit_model("m2")
    for is_signed in (True, False):
        monkeypatch.setattr(signatures, "is_trusted", lambda _, is_signed=is_signed: is_signed)
        live.release("image")
        assert built == ([] if is_signed else [release_id("HEAD")])


def test_with_rebuild_a_model_that_training_does_not_give_again_is_not_built(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb itself does not train what was released: tests/engine/commands/test_verify.py."""
    calls: list[tuple[str, ...]] = []

    def refuse_model(*arguments: str) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        return subprocess.CompletedProcess([], 1)

    monkeypatch.setattr(ensure_image, "ensure_image", ENSURE_IMAGE)
    monkeypatch.setattr(ensure_image, "run_verb", refuse_model)
    monkeypatch.setattr(fetch_model, "fetch_model", lambda *_: "DVC's cache")
    monkeypatch.setattr(ensure_image, "build_image", lambda *_: None)
    monkeypatch.setattr(ensure_image, "push_image", lambda *_: None)
    before = live.service
    commit = live.commit_model("m2", release={"rebuild": True})
    live.release("image", code=1)
    live.release(code=1)
    assert calls == [("verify", "--rev", commit, "--before-release")] * 2
    assert live.service == before and "fraud#production#2" not in live.at_origin()
    live.release(VERIFIED_COMMIT=commit)
    assert len(calls) == 2
    live.check("m2", "fraud@v1.1.0", 2)


def test_a_release_that_ends_while_a_lost_image_is_built_again_wins(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.lost.add(digest(release_id("HEAD")))
    other, real = live.other(), ensure_image.ensure_image

    def build_again(*given: Any) -> tuple[str, bool]:
        monkeypatch.setattr(ensure_image, "ensure_image", real)
        other.commit_model("m2")
        live.release(where=other.clone)
        return digest("c" * 12), True

    monkeypatch.setattr(ensure_image, "ensure_image", build_again)
    assert "fraud@v1.1.0 is in production as fraud#production#2" in live.release("reconcile")
    live.check("m2", "fraud@v1.1.0", 2)


def test_reconciling_knows_the_remote_of_the_environment(live: World, tmp_path: Path) -> None:
    live.release("reconcile", DVC_REMOTE_URL=str(tmp_path / "remote"))
    assert default_remote()


def test_an_assignment_without_a_version_is_named_and_nothing_is_touched(live: World) -> None:
    annotation = tags.list_assignments("fraud")[0].annotation.model_copy(
        update={"release": "b" * 12, "version": "fraud@v9.0.0"}
    )
    git("tag", "--annotate", "--cleanup=verbatim", "-m", annotation.to_yaml(), "fraud#production#2",
        env={"GIT_COMMITTER_DATE": "4000000000 +0000"})  # fmt: skip
    git("push", "--quiet", "origin", "fraud#production#2")
    assert "no version's tag registers it" in live.release("reconcile", code=1)
    assert len(live.deployed) == 1
