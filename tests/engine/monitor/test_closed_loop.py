"""The whole way: from traffic and labels to an alarm, its issue and its pull request, and to the end of the alarm.

Every verb is the real one, in a process of its own where another starts it. GitHub is emulate. The time is real;
only the first tags and, after today, the monitor are given another.
"""

from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.monitor import flow
from pipelines.monitor.history import History
from pipelines.predictions.log import parse_log
from pipelines.repository import push_tags
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from testing.docker import ImageRegistry, free_port, remove_containers
from tests.engine.fixtures_repo import Repo, point_at_cache
from tests.engine.in_process import must, verb
from tests.engine.monitor.changing_fraud import DAY, MONDAY, RELEASED, Fraud, make_fraud, make_rows
from tests.engine.release.engine import base_image as base_image
from tests.engine.release.engine import engine as engine
from tests.engine.release.engine import hub as hub
from tests.engine.workflows.acting import environment_like
from tests.engine.workflows.conftest import github as github
from tests.engine.workflows.conftest import shared_github as shared_github
from tests.engine.workflows.github_accounts import BOB, REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake
from tests.engine.workflows.world import World, dvc

START = datetime.combine(RELEASED, time(), UTC)  # of production
HOURS = timedelta(hours=1)
SetClock = Callable[[datetime], None]


def open_world(fraud: Fraud, github: GitHubFake, **variables: str) -> tuple[World, dict[str, str]]:
    """Put the repository on GitHub, and return it with the environment of monitor.yml."""
    world = World(fraud.folder, fraud.folder / "github", github)
    venv = environment_like(fraud.folder / "venv", fraud.folder)
    (venv / ".mainline-stamp").write_bytes((world.work.path / "requirements/dev.txt").read_bytes())
    return world, {
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
        "PREDICTION_LOG": str(fraud.log),
        "VENV": str(venv),
        **variables,
    }


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock of the monitor; until it is set, the real one."""
    moments: list[datetime] = []

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moments[-1] if moments else datetime.now(tz)

    monkeypatch.setattr(flow, "datetime", Clock)
    for name in ("ACKNOWLEDGE", "SERVICE_URL", "PUSHGATEWAY_URL", "MONITOR_WEBHOOK", "BOT_TOKEN", "WHY", "TO"):
        monkeypatch.delenv(name, raising=False)
    return moments.append


def issues(world: World, state: str = "open") -> list[str]:
    """The titles of the monitor's issues."""
    return [issue["title"] for issue in world.github.ask("GET", f"/issues?state={state}&labels=monitor")]


def pulls(world: World) -> list[dict[str, Any]]:
    """The open pull requests."""
    listed: list[dict[str, Any]] = world.github.ask("GET", "/pulls?state=open")
    return listed


def assign(repo: Repo, number: tuple[int, int, int], counter: int, moment: datetime, model_name: str) -> str:
    """Register the commit that is checked out, and assign it to production; return its release id."""
    with chdir(repo.path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(push_tags, "time", SimpleNamespace(time=moment.timestamp))
        commit = repo.git("rev-parse", "HEAD")
        image = f"127.0.0.1:5000/fraud@sha256:{'a' * 64}"
        annotation = Annotation(release=release_id(commit), image=image, model="m", signature="s")
        version = push_tags.register_version(model_name, number, commit, annotation)
        assigned = annotation.model_copy(update={"version": version.tag, "main_commit": commit})
        push_tags.assign_version(model_name, counter, version, assigned)
        return annotation.release


@pytest.mark.watch
def test_a_bad_version_that_got_through_is_proposed_to_be_rolled_back_once(
    github: GitHubFake, set_clock: SetClock, tmp_path: Path
) -> None:
    """It reads an input that was filled in after the label was known, in the training rows only."""
    fraud = make_fraud(tmp_path / "fraud", make_rows(revealing_until=RELEASED), {"rollback": True})
    good = fraud.origin.git("rev-parse", "HEAD")
    fraud.train("Use a hint", features={"use": ["amount", "channel", "hint"], "derive": {}})
    world, environment = open_world(fraud, github)
    repo = world.work
    repo.git("checkout", "--quiet", good)
    assign(repo, (1, 0, 0), 1, START - 10 * DAY, "fraud")
    repo.git("checkout", "--quiet", "main")
    bad = assign(repo, (1, 1, 0), 2, START - 3 * HOURS, "fraud")
    fraud.log_predictions(fraud.origin.path / "models", bad, START, datetime.now(UTC))

    for _ in range(2):
        done = must(verb(repo, "monitor", "--act", **environment), 1)
        assert "ALARM quality" in done.out, done.out
        (pull,) = pulls(world)
    assert pull["title"] == "Roll back to fraud@v1.0.0"
    assert "The mean loss of fraud@v1.1.0" in pull["body"] and "On the same rows fraud@v1.0.0 has" in pull["body"]
    head = world.tip(f"refs/heads/{pull['head']['ref']}")
    assert github.checks(head)["review"] == "success"
    repo.git("fetch", "--quiet", "origin", head)
    with chdir(repo.path):
        assert release_id(head) == release_id(good)
    assert issues(world) == ["The deployed model is worse than promised: fraud"]
    assert github.invalid == []


@pytest.fixture
def service(base_image: str, hub: ImageRegistry, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a service in production on this host; its container is removed at the end."""
    name = f"loop-{free_port()}"
    yield {
        "IMAGE_REPOSITORY": f"{hub.host}/{name}",
        "SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "OPERATIONS_URL": f"http://127.0.0.1:{free_port()}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "NAME": name,
    }
    remove_containers(name)


@pytest.mark.engine
def test_fraud_that_changes_ends_with_a_better_model_in_production(
    github: GitHubFake, set_clock: SetClock, base_image: str, service: dict[str, str], tmp_path: Path
) -> None:
    """Traffic, labels, alarm, issue, retraining, review, merge, release, and the end of the alarm."""
    name = service.pop("NAME")
    fraud = make_fraud(tmp_path / "fraud", make_rows(change=RELEASED + 7 * DAY), {}, model_name=name)
    remote = (
        f"[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'remote'}\n"
    )
    (fraud.origin.path / ".dvc/config").write_text(remote)
    serving = {"base_image": base_image, "front_image": base_image, "replicas": 1}
    fraud.origin.params(lambda document: document["serving"].update(serving))
    fraud.origin.commit("Name the remote and the base image")
    must(verb(fraud.origin, "push"))
    world, environment = open_world(fraud, github, **service)

    def release(cache: str, moment: datetime | None = None) -> str:
        """Release main in a fresh clone without a DVC cache, as a workflow does."""
        path = tmp_path / cache
        world.work.run("git", "clone", "--quiet", str(world.bare), str(path))
        clone = Repo(path, tmp_path / f"cache-of-{cache}")
        point_at_cache(clone)
        with pytest.MonkeyPatch.context() as patch:
            if moment:
                patch.setattr(push_tags, "time", SimpleNamespace(time=moment.timestamp))
            return must(verb(clone, "release", "run", **environment | {"PREDICTION_LOG": "off"})).out

    def monitor(code: int = 0) -> str:
        world.work.git("pull", "--quiet", "origin", "main")
        return must(verb(world.work, "monitor", "--act", **environment), code).out

    assert f"{name}@v1.0.0 is in production" in release("first", START - 3 * HOURS)
    first = release_id_of(world.work)
    fraud.log_predictions(fraud.origin.path / "models", first, START, datetime.now(UTC))
    for _ in range(2):
        assert "ALARM quality" in monitor(1)
        (pull,) = pulls(world)
        assert issues(world) == [f"The deployed model is worse than promised: {name}"]
    assert pull["head"]["ref"] == "retrain" and "The review passed" in pull["body"]
    assert "The mean loss of" in pull["body"]
    assert github.checks(world.tip("refs/heads/retrain"))["review"] == "success"

    github.approve(pull["number"], BOB)
    world.merge(pull["number"], pull["title"])
    assert f"{name}@v1.1.0 is in production" in release("second")
    released = datetime.now(UTC)
    world.work.git("pull", "--quiet", "origin", "main")
    second = release_id_of(world.work)
    assert dvc(world.work, "checkout", "models/model.onnx", "models/signature.json").code == 0
    fraud.log_predictions(world.work.path / "models", second, released, START + 84 * DAY)

    monday = datetime.combine(MONDAY, time(2), UTC)
    set_clock(monday + 7 * DAY)  # the labels of this pass are of the first version's predictions
    monitor(1)
    for weeks in (2, 3, 4):
        set_clock(monday + weeks * 7 * DAY)
        assert "No alarm." in monitor()
        assert issues(world) == [] and pulls(world) == []
    assert issues(world, "closed") == [f"The deployed model is worse than promised: {name}"]
    newest = History(parse_log(str(fraud.log))).passes()[-1]
    assert newest.version == f"{name}@v1.1.0" and newest.quality and newest.quality.labelled > 1_000
    assert github.invalid == []


def release_id_of(repo: Repo) -> str:
    """Return the release id of the commit that is checked out."""
    with chdir(repo.path):
        return release_id("HEAD")
