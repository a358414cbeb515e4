"""rollout.yml by act: a canary that is promoted, and one that ends with an issue and the start of its revert.

The deployment is a command, so that what the workflow asks for is seen without a Docker engine; skopeo is a stand-in.
Needs the small problem, act, emulate and Prism.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pipelines.release.compatibility import format_contract
from pipelines.repository import push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from tests.engine.fixtures_repo import Repo
from tests.engine.monitor.log_files import SIGNATURE
from tests.engine.release.tag_repository import tag_repository as tag_repository
from tests.engine.rollout.logged_rollout import BEGAN, PRODUCTION, write_arm
from tests.engine.workflows.acting import Run
from tests.engine.workflows.github_accounts import REPOSITORY
from tests.engine.workflows.github_fake import permissions
from tests.engine.workflows.install import ROOT
from tests.engine.workflows.world import World

DIGEST = f"sha256:{'a' * 64}"


@dataclass(frozen=True)
class Rollout:
    """acme/fraud with `fraud@v1.0.0` in production and main's commit as its canary, `fraud@v1.1.0`."""

    world: World
    release: str
    log: Path
    folder: Path

    def act(self, run: int) -> Run:
        """Run rollout.yml as its schedule does."""
        event = {"schedule": "23 * * * *", "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
        return self.world.runner.act("rollout.yml", "schedule", event, run=run, ref="refs/heads/main")

    def asked(self) -> list[str]:
        """What the deploy command was asked for."""
        return (self.folder / "asked").read_text().splitlines()

    def tags(self) -> list[str]:
        """The tags that the job pushed."""
        assert {push.job for push in self.world.pushes} <= {"rollout"}
        return [push.ref.removeprefix("refs/tags/") for push in self.world.pushes]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The URL of a service that responds with the release id in the file `service`, which the command writes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"release": (tmp_path / "service").read_text().strip()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def rollout(world: World, tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout whose canary got half of the requests three hours ago; nothing is logged yet."""
    scripts = {
        "bin/skopeo": f'[ "$2" != inspect ] || echo {DIGEST}',
        "deploy.sh": f'echo "$MODEL_VERSION $ROLE $1" >> {tmp_path}/asked\n'
        f'[ "$ROLE" = canary ] || echo "$RELEASE_ID" > {tmp_path}/service',
    }
    for name, text in scripts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def change(repo: Repo) -> None:
        command = [str(tmp_path / "deploy.sh"), "{WEIGHT}", "{ROLE}"]
        repo.params(lambda document: document["serving"].update(deploy=command))
        repo.params(lambda document: document.update(rollout={"steps": [50], "limits": {"p99_ms": 20}}))

    world.merge(world.open(change))
    log = tmp_path / "log"
    world.runner.variables |= {
        "IMAGE_REPOSITORY": "127.0.0.1:5000/fraud",
        "SERVICE_URL": service,
        "PREDICTION_LOG": str(log),
    }
    repo = world.work
    repo.git("fetch", "--quiet", "origin")
    repo.git("checkout", "--quiet", "-B", "main", "origin/main")
    with chdir(repo.path), monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: BEGAN.timestamp() - 60)
        commit = repo.git("rev-parse", "HEAD")
        release = release_id(commit)
        for number, (name, stage, weight) in enumerate(
            ((PRODUCTION, tags.PRODUCTION, None), (release, tags.CANARY, 50))
        ):
            image, contract = f"127.0.0.1:5000/fraud@{DIGEST}", format_contract(SIGNATURE)
            annotation = Annotation(release=name, image=image, model="m", signature="s", contract=contract)
            version = push_tags.register_version("fraud", (1, number, 0), commit, annotation)
            assigned = {"version": version.tag, "main_commit": commit, "contract": None} | (
                {"weight": weight} if weight else {}
            )
            push_tags.assign_version("fraud", number + 1, version, annotation.model_copy(update=assigned), stage)
    return Rollout(world, release, log, tmp_path)


@pytest.mark.parametrize(
    ("settings", "names", "is_run"),
    [
        ("rollout:\n  steps: [5]", [], True),
        ("serving: {}", [], False),
        ("serving: {}", ["fraud#production#9", "fraud#canary#10"], True),  # its settings were removed
        ("serving: {}", ["fraud#canary#10", "fraud#canary!#11", "fraud#note#12"], False),
        ("serving: {}", ["fraud#canary#10", "fraud#production#11"], False),
    ],
)
def test_job_runs_with_settings_and_while_a_canary_runs(
    tag_repository: Path, settings: str, names: list[str], is_run: bool
) -> None:
    (tag_repository / "params.yaml").write_text(settings)
    for number, name in enumerate(names):
        git("tag", "--annotate", "-m", "a", name, env={"GIT_COMMITTER_DATE": f"{1_700_000_000 + number} +0000"})
    steps = yaml.safe_load((ROOT / ".github/workflows/rollout.yml").read_text())["jobs"]["setting"]["steps"]
    output = tag_repository / "output"
    variables = {"RUNNER_TEMP": str(tag_repository), "GITHUB_OUTPUT": str(output)}
    subprocess.run(["bash", "-e", "-c", steps[-1]["run"]], env={**os.environ, **variables}, check=True)
    assert ("rollout=true" in output.read_text()) == is_run


def test_canary_within_all_limits_is_promoted(rollout: Rollout) -> None:
    for release, seed in ((PRODUCTION, 1), (rollout.release, 2)):
        write_arm(rollout.log, release, 5000, seed=seed)
    before = len(rollout.world.github.requests)
    run = rollout.act(91)
    assert run.conclusions == {"setting": "success", "rollout": "success"}, run.log
    assert rollout.tags() == ["fraud#production#3", "fraud#canary!#4"]
    assert rollout.asked()[-2:] == ["fraud@v1.1.0 production 100", "fraud@v1.1.0 canary 0"]
    assert (rollout.folder / "service").read_text().strip() == rollout.release
    assert permissions(rollout.world.github.requests[before:]).keys() <= {"contents", "metadata", "pull-requests"}


def test_worse_canary_ends_with_an_issue_and_its_revert(rollout: Rollout) -> None:
    write_arm(rollout.log, PRODUCTION, 5000)
    run = rollout.act(90)
    assert run.conclusions == {"setting": "success", "rollout": "failure"}, run.log
    assert rollout.tags() == ["fraud#canary!#3"]
    assert rollout.asked() == ["fraud@v1.1.0 canary 0", "fraud@v1.0.0 production 100"]
    (issue,) = rollout.world.github.ask("GET", "/issues?state=open&labels=rollout")
    assert "fraud@v1.1.0" in issue["title"] + issue["body"] and "fewer than half" in issue["body"]
    ((workflow, inputs),) = rollout.world.github.dispatches
    assert (workflow, inputs["inputs"]["to"]) == ("rollback.yml", "fraud@v1.0.0")
