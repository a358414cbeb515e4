"""A repository with an origin in which releases run; Docker engine and image registry are fakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import Refused
from pipelines.deployment import canary, replicas
from pipelines.deployment.host import Host
from pipelines.model.signature import Signature
from pipelines.release import deploy, ensure_image, smoke_test
from pipelines.release.image_registry import ImageRegistry
from pipelines.repository import push_tags
from pipelines.repository.git import git
from tests.engine.fixtures_repo import PARAMS
from tests.engine.in_process import must, verb
from tests.engine.release.tag_repository import CONTRACT, make_once

SIGNATURE = Signature.from_json({"example": {}, **CONTRACT})
_STATES: dict[str, dict[str, Any]] = {}


@dataclass
class World:
    """A clone with an origin, and what a release does outside of git.

    Attributes:
        service: the release id that the service in production responds with.
        deployed: release ids in the order of their deployment.
        lost: digests of images that the image registry has lost.
        broken: the release id whose deployment fails after the service was replaced.
        production: the digest of the image registry's tag `production`.
        canary: release id and share of the canary that the host runs.
    """

    clone: Path
    service: str | None = None
    deployed: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    broken: str | None = None
    production: str | None = None
    canary: tuple[str, int] | None = None

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
        """`python -m pipelines release run` (or another action); return what it printed."""
        return must(verb(where or self.clone, "release", *(arguments or ("run",)), **environment), code).out

    def other(self, name: str = "other") -> World:
        """Clone the origin again; the fakes are shared."""
        folder = self.clone.parent / name
        git("clone", "--quiet", str(self.clone.parent / "origin.git"), str(folder))
        made = World(folder)
        made.__dict__ |= {key: value for key, value in self.__dict__.items() if key != "clone"}
        return made

    def resume(self, name: str, make: Callable[[], object]) -> World:
        """Put the clone and its origin into a state that takes several releases: made once, then copied."""
        if make_once(name, self.clone.parent, make):
            _STATES[name] = {key: copy(value) for key, value in vars(self).items() if key != "clone"}
        self.__dict__ |= {key: copy(value) for key, value in _STATES[name].items()}
        return self

    def at_origin(self) -> list[str]:
        """Return the names of origin's tags."""
        listed = git("ls-remote", "--tags", "--refs", "origin", cwd=self.clone).splitlines()
        return [entry.partition("refs/tags/")[2] for entry in listed]

    def check(self, model: str, version: str, counter: int) -> None:
        """Check that service, image registry and a fresh clone's tags agree on what is in production."""
        folder = self.clone.parent / f"seen-{counter}"
        git("clone", "--quiet", str(self.clone.parent / "origin.git"), str(folder))
        (now, *_) = json.loads(self.release("status", "--json", where=folder))
        assert (now["version"], now["assignment"], now["model"]) == (version, f"fraud#production#{counter}", model)
        assert (self.service, self.production) == (now["release"], now["image"].partition("@")[2])


def digest(release_id: str) -> str:
    """Return the digest of the image that the fake builds."""
    return f"sha256:{(release_id * 6)[:64]}"


def reference(release_id: str) -> str:
    """Return REPOSITORY@DIGEST of the image that the fake builds."""
    return f"127.0.0.1:5000/fraud@{digest(release_id)}"


@pytest.fixture
def world(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A clone whose main has the settings of this repository and no model yet."""
    shutil.copy(PARAMS, tag_repository)
    for name, text in {"serving/service.py": "1", "requirements/serving.txt": "x", ".dvc/config": ""}.items():
        (tag_repository / name).parent.mkdir(exist_ok=True)
        (tag_repository / name).write_text(text)
    monkeypatch.setenv("IMAGE_REPOSITORY", "127.0.0.1:5000/fraud")
    monkeypatch.setenv("GITHUB_TOKEN", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = World(tag_repository)

    def deploy_fake(params: Any, release: str, reference: str, version: str) -> None:
        made.service = release
        made.deployed.append(release)
        if made.broken == release:
            raise Refused("the deployment fails late", "Fix it.")

    def ensure_fake(host: Host, version: replicas.Version) -> None:
        if made.service != version.release_id:
            deploy_fake(None, version.release_id, version.image, version.tag)

    def ensure_canary(host: Host, version: replicas.Version, percent: int, tag: str = "") -> None:
        if made.broken == version.release_id:
            raise Refused("the canary does not come up", "Fix it.")
        made.canary = version.release_id, percent

    def end_canary(host: Host) -> None:
        made.canary = None

    def move_tag(image_registry: ImageRegistry, tag: str, to: str) -> None:
        made.production = to

    monkeypatch.setattr(ensure_image, "ensure_image", lambda target, *_: (reference(target.release_id), True))
    monkeypatch.setattr(smoke_test, "run_smoke_test", lambda reference, target: SIGNATURE)
    monkeypatch.setattr(deploy, "deploy", deploy_fake)
    monkeypatch.setattr(deploy, "ensure_in_production", ensure_fake)
    monkeypatch.setattr(canary, "ensure", ensure_canary)
    monkeypatch.setattr(canary, "end", end_canary)
    monkeypatch.setattr(deploy, "start_verb", lambda *_, log: None)
    monkeypatch.setattr(deploy, "running", lambda _: made.service)
    monkeypatch.setattr(ImageRegistry, "has_image", lambda _, image_digest: image_digest not in made.lost)
    monkeypatch.setattr(ImageRegistry, "find_digest", lambda _, tag: made.production)
    monkeypatch.setattr(ImageRegistry, "move_tag", move_tag)
    return made


@pytest.fixture
def live(world: World) -> World:
    """A clone whose model `m1` is in production, as fraud@v1.0.0 by fraud#production#1."""

    def make() -> None:
        world.commit_model("m1")
        world.release()

    return world.resume("live", make)


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
    """A fake check of an image that always fails."""
    raise Refused(f"{reference} is refused", "Look at it.")


def kill_before_push(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """End the process just before it pushes a tag whose name contains `kind`."""
    real = push_tags._push_tag

    def push(tag: str, *rest: str) -> None:
        if kind in tag:
            raise KeyboardInterrupt
        real(tag, *rest)

    monkeypatch.setattr(push_tags, "_push_tag", push)
