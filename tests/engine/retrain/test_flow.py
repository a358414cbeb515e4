"""A retraining from its command to the pull request. The verbs that it starts write what they would write.

Needs git and DVC.
"""

import json
import subprocess
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.github.client import GitHub
from pipelines.pull_request import publish
from pipelines.repository.git import git
from pipelines.retrain import flow
from tests.engine.fixtures_repo import CommandResult
from tests.engine.in_process import verb
from tests.engine.release.release_world import World
from tests.engine.release.release_world import world as world
from tests.engine.release.tag_repository import tag_repository as tag_repository

pytestmark = pytest.mark.repository
TODAY = date(2026, 5, 4)


@dataclass
class Verbs:
    """The verbs that a retraining starts.

    Attributes:
        rows: md5 of the rows that `data` finds.
        history: the passes that `monitor --history` prints.
        verdict: of the review.
        code: with which the review ends; by default as its verdict says.
        started: the verbs, in order.
    """

    rows: str = "b" * 32
    history: list[dict[str, Any]] = field(default_factory=list)
    verdict: str | None = "pass"
    code: int | None = None
    started: list[str] = field(default_factory=list)

    def run(self, name: str, *arguments: str, cwd: Path | None = None, capture: bool = False) -> Any:
        self.started.append(name)
        code = 0
        if name == "data":
            assert cwd is not None
            write_pointer(cwd, self.rows)
        if name == "review" and self.verdict:
            assert cwd is not None and arguments == ("--base", git("rev-parse", "main"))
            folder = cwd / "reports/review"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "review.md").write_text(f"A report: {self.verdict}\n")
            (folder / "review.json").write_text(json.dumps({"verdict": self.verdict}))
            (cwd / "reports/metrics.json").write_text("{}")
            code = int(self.verdict != "pass") if self.code is None else self.code
        return subprocess.CompletedProcess([name], code, json.dumps(self.history), "")


class Api:
    """A GitHub in memory."""

    repository = "acme/fraud"

    def __init__(self) -> None:
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[tuple[Any, ...]] = []
        self.conclusions: list[tuple[str, str]] = []

    def open_pulls(self, branch: str) -> Any:
        return iter([pull for pull in self.pulls if pull["head"] == branch])

    def create_pull(self, title: str, head: str, base: str, body: str) -> Any:
        self.pulls.append({"number": 7, "title": title, "head": head, "body": body})
        return self.pulls[-1]

    def update_issue(self, number: int, **fields: Any) -> None:
        self.pulls[-1] |= fields

    def checks(self, sha: str) -> Any:
        return iter([{"name": "test", "conclusion": "success"}])

    def create_check(self, sha: str, name: str, conclusion: str, *_: str) -> None:
        self.conclusions.append((sha, conclusion))


def write_pointer(folder: Path, md5: str) -> None:
    pointer = {"outs": [{"md5": f"{md5}.dir", "path": "data"}]}
    (folder / "data.dvc").write_text(yaml.safe_dump(pointer))


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> Verbs:
    made = Verbs()
    for module in (flow, publish):
        monkeypatch.setattr(module, "run_verb", made.run)
    monkeypatch.setattr(flow, "today", lambda: TODAY)
    return made


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(GitHub, "from_environment", lambda: made)
    monkeypatch.setattr(publish, "post_comment", lambda *arguments: made.comments.append(arguments[1:4]))
    return made


def make_shop(world: World) -> None:
    """Put a model into production, with rows."""
    world.commit_model("m1")
    world.release()
    write_pointer(world.clone, "a" * 32)
    (world.clone / ".gitignore").write_text("/reports/review/\n/.mainline/\n/.dvc/\n")
    world.commit("Record the rows")


@pytest.fixture
def shop(world: World) -> World:
    """A world in production with rows."""
    return world.resume("shop", lambda: make_shop(world))


def retrain(shop: World, *arguments: str, **environment: str) -> CommandResult:
    return verb(
        shop.clone, "retrain", *arguments, **{"PREDICTION_LOG": "log", "GITHUB_TOKEN": "x", "WHY": ""} | environment
    )


def tip(shop: World) -> str:
    return git("ls-remote", "origin", "refs/heads/retrain", cwd=shop.clone).partition("\t")[0]


def broken(start: str, end: str) -> dict[str, Any]:
    alarm = {"problem": "input", "name": "amount", "message": "amount is missing in 10 % of the rows"}
    return {"start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z", "alarms": [alarm]}


def test_new_rows_give_one_pull_request_with_check_comment_and_reason(shop: World, verbs: Verbs, api: Api) -> None:
    before = git("rev-parse", "HEAD")
    done = retrain(shop, "--why", "The loss rose.")
    assert done.code == 0, done.out
    head = tip(shop)
    assert git("show", f"{head}:data.dvc") == git("show", f"{head}~1:data.dvc") != git("show", "main:data.dvc")
    assert yaml.safe_load(git("show", f"{head}:params.yaml"))["ingest"]["until"] == "2026-05-04"
    assert git("log", "--format=%s", f"main..{head}").splitlines() == [
        "Reproduce the pipeline",
        "Retrain on the rows before 2026-05-04",
    ]
    (pull,) = api.pulls
    assert "The loss rose." in pull["body"] and "The review passed" in pull["body"]
    assert api.comments == [(7, head, "A report: pass\n")] and api.conclusions == [(head, "success")]
    # Branch and files of the user are as before.
    assert (git("rev-parse", "HEAD"), git("symbolic-ref", "--short", "HEAD")) == (before, "main")
    assert "data.dvc" not in git("status", "--porcelain")


def test_a_second_run_keeps_the_commit_and_a_later_one_updates_the_pull_request(
    shop: World, verbs: Verbs, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrain(shop)
    first = tip(shop)
    assert retrain(shop).code == 0 and tip(shop) == first and len(api.pulls) == 1
    monkeypatch.setattr(flow, "today", lambda: date(2026, 6, 1))
    verbs.rows, verbs.verdict = "c" * 32, "fail"
    done = retrain(shop)
    assert done.code == 1, done.out
    assert tip(shop) != first and len(api.pulls) == 1
    assert api.pulls[0]["title"] == "Retrain on the rows before 2026-06-01"
    assert "did not pass" in api.pulls[0]["body"] and "Scheduled retraining." in api.pulls[0]["body"]
    assert api.conclusions[-1] == (tip(shop), "failure")


@pytest.mark.parametrize("until", [None, "2026-05-04"])
def test_without_new_rows_it_ends_with_0_and_nothing_is_pushed(
    shop: World, verbs: Verbs, api: Api, until: str | None
) -> None:
    verbs.rows = "a" * 32
    if until:
        path = shop.clone / "params.yaml"
        path.write_text(path.read_text().replace("kind: simulator", f'kind: simulator\n  until: "{until}"'))
        shop.commit("Set the day")
    done = retrain(shop)
    assert done.code == 0 and "no new rows" in done.out, done.out
    assert tip(shop) == "" and "review" not in verbs.started and api.pulls == []


@pytest.mark.parametrize("log", ["", "off"])
def test_without_a_log_nothing_is_in_production_yet(shop: World, verbs: Verbs, log: str) -> None:
    done = retrain(shop, PREDICTION_LOG=log)
    assert done.code == 0 and "not in production yet" in done.out
    assert verbs.started == []


def test_without_an_assignment_nothing_is_in_production_yet(world: World, verbs: Verbs) -> None:
    world.commit_model("m1")
    done = retrain(world)
    assert done.code == 0 and "not in production yet" in done.out


def test_a_window_with_broken_input_is_refused(shop: World, verbs: Verbs, api: Api) -> None:
    path = shop.clone / "params.yaml"
    path.write_text(path.read_text().replace("kind: simulator", 'kind: simulator\n  until: "2026-04-20"'))
    shop.commit("Set the day")
    verbs.history = [broken("2026-03-23", "2026-03-30")]
    assert retrain(shop).code == 0  # main's rows hold these already
    verbs.history.append(broken("2026-04-20", "2026-04-27"))
    done = retrain(shop)
    assert done.code == 1 and "broken from 2026-04-20 to 2026-04-27: amount is missing" in done.out
    assert "Only the newest pass can be accepted" in done.out


def test_commits_of_others_on_the_branch_are_not_replaced(shop: World, verbs: Verbs, api: Api) -> None:
    retrain(shop)
    other = git("commit-tree", f"{tip(shop)}^{{tree}}", "-p", tip(shop), "-m", "Tune it by hand", cwd=shop.clone)
    git("push", "--quiet", "origin", f"{other}:refs/heads/retrain", cwd=shop.clone)
    done = retrain(shop)
    assert done.code == 1 and "Tune it by hand" in done.out
    assert tip(shop) == other


def test_a_commit_that_somebody_pushes_during_the_review_is_not_replaced(
    shop: World, verbs: Verbs, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrain(shop)
    first = tip(shop)
    other = git("commit-tree", f"{first}^{{tree}}", "-p", first, "-m", "Tune it by hand", cwd=shop.clone)

    def run(name: str, *arguments: str, **options: Any) -> Any:
        if name == "review":
            git("push", "--quiet", "origin", f"{other}:refs/heads/retrain", cwd=shop.clone)
        return verbs.run(name, *arguments, **options)

    monkeypatch.setattr(publish, "run_verb", run)
    verbs.rows = "c" * 32
    done = retrain(shop)
    assert done.code == 1 and "Tune it by hand" in done.out
    assert tip(shop) == other


def test_a_review_that_broke_after_its_report_did_not_pass(shop: World, verbs: Verbs, api: Api) -> None:
    verbs.code = 70
    assert retrain(shop, GITHUB_TOKEN="t").code == 1
    assert [conclusion for _, conclusion in api.conclusions] == ["failure"]


def test_a_review_without_a_report_is_refused(shop: World, verbs: Verbs) -> None:
    verbs.verdict = None
    done = retrain(shop)
    assert done.code == 1 and "made no report" in done.out
    assert tip(shop) == ""


@pytest.mark.parametrize("code", [2, 3])
def test_a_review_that_could_not_be_made_ends_the_retraining_with_its_code(
    shop: World, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A scheduler repeats 3: the DVC remote did not respond, for example."""

    def run(name: str, *arguments: str, **options: Any) -> Any:
        done = verbs.run(name, *arguments, **options)
        return subprocess.CompletedProcess([name], code) if name == "review" else done

    verbs.verdict = None
    monkeypatch.setattr(publish, "run_verb", run)
    assert retrain(shop).code == code and tip(shop) == ""


def test_without_a_token_the_branch_is_pushed(shop: World, verbs: Verbs) -> None:
    done = retrain(shop, GITHUB_TOKEN="")
    assert done.code == 0 and "open the pull request" in done.out, done.out
    assert tip(shop)
