"""`publish` with a real origin and a GitHub in memory, also after interruptions and pushes. Needs git."""

import html
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError, MainlineError, Refused, Unreachable
from pipelines.github.client import GitHub
from pipelines.publish import flow, review_artifact
from pipelines.repository.git import git
from tests.engine.fixtures_github import PERSON, MemoryGitHub
from tests.engine.publish.conftest import BRANCH, tip, write
from tests.engine.publish.test_review_artifact import zipped

NUMBER, RUN = 7, 21
FORK = {"full_name": "mallory/fraud"}
OURS = {"full_name": "acme/fraud"}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryGitHub:
    """acme/fraud without a pull request, in a workflow's run whose event the test writes; no CML on PATH."""
    memory = MemoryGitHub()
    monkeypatch.setattr(GitHub, "from_environment", lambda: memory)
    monkeypatch.setattr("shutil.which", lambda program: None)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/fraud")
    monkeypatch.setenv("GITHUB_RUN_ID", "1")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    return memory


@pytest.fixture
def github(empty: MemoryGitHub, clone: Path) -> MemoryGitHub:
    """Pull request 7 comes from the branch of `clone`."""
    head = {"ref": BRANCH, "sha": tip(), "repo": OURS}
    empty.pulls[NUMBER] = {"number": NUMBER, "state": "open", "head": head, "user": {"login": "alice"}}
    write_event({"pull_request": empty.pulls[NUMBER], "repository": OURS})
    return empty


def write_event(event: dict[str, Any]) -> None:
    """Write the event of the run."""
    Path(os.environ["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))


def write_artifact(verdict: str = "pass", report: str = "# A report\n", lock: str = "new\n") -> Path:
    """Write the artifact of the job `review`."""
    folder = Path("../handover")
    (folder / "reports/review").mkdir(parents=True, exist_ok=True)
    (folder / "dvc.lock").write_text(lock)
    (folder / "reports/gone.json").write_text("{}\n")
    (folder / review_artifact.REPORT).write_text(report)
    (folder / review_artifact.DOCUMENT).write_text(json.dumps({"verdict": verdict}))
    return folder


def push_newer() -> None:
    """Push one more commit to the branch."""
    git("fetch", "--quiet", "origin", f"refs/heads/{BRANCH}")
    git("checkout", "--quiet", "FETCH_HEAD")
    write({"params.yaml": "a: 3\n"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{BRANCH}")


def test_two_runs_leave_one_commit_one_check_and_one_comment(github: MemoryGitHub) -> None:
    assert flow.publish(write_artifact(), "success") == 0
    bot = tip()
    assert git("show", f"{bot}:dvc.lock") == "new"
    github.pulls[NUMBER]["head"]["sha"] = bot
    assert flow.publish(write_artifact(), "success") == 0
    assert tip() == bot
    assert github.check_runs == [(bot, "review", "success")]
    assert set(github.started_workflows) == {("test.yml", BRANCH)}
    (body,) = github.bodies
    assert body.startswith("# A report\n") and bot in body


@pytest.mark.parametrize(
    ("state", "started"),
    [("", True), ("action_required", True), ("cancelled", True), ("success", False), ("failure", False)],
)
def test_tests_that_wait_for_an_approval_are_started_all_the_same(
    github: MemoryGitHub, state: str, started: bool
) -> None:
    """GitHub makes runs for the bot's push that wait until a person approves them, which nobody may do."""
    github.before["create_check"] = lambda: github.check_runs.append((tip(), "test", state))
    github.errors["create_comment"] = Unreachable("GitHub: 502", "Run it again.")
    with pytest.raises(Unreachable):
        flow.publish(write_artifact(), "success")
    github.started_workflows.clear()
    flow.publish(write_artifact(), "success")
    assert bool(github.started_workflows) == started


def test_checks_of_another_app_do_not_stand_for_ours(github: MemoryGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ruleset would wait for ever for those of GitHub Actions."""
    other = [
        {"name": name, "status": "completed", "conclusion": "success", "app": {"slug": "another-ci"}}
        for name in ("review", "test")
    ]
    monkeypatch.setattr(github, "checks", lambda sha: other)
    flow.publish(write_artifact(), "success")
    assert github.check_runs == [(tip(), "review", "success")]
    assert len(github.started_workflows) == 1


def test_with_a_token_of_an_app_the_workflows_of_the_bot_commit_set_its_checks(
    github: MemoryGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT_TOKEN", "made-up")
    before = tip()
    assert flow.publish(write_artifact(), "success") == 0
    assert git("rev-parse", f"{tip()}^") == before
    assert (github.check_runs, github.started_workflows) == ([], [])
    assert len(github.bodies) == 1


def test_a_changed_verdict_creates_a_new_check(github: MemoryGitHub) -> None:
    flow.publish(write_artifact("fail"), "failure")
    flow.publish(write_artifact("pass"), "success")
    assert [conclusion for _, _, conclusion in github.check_runs] == ["failure", "success"]


def test_a_long_report_ends_with_a_link_to_the_run(github: MemoryGitHub) -> None:
    flow.publish(write_artifact(report="# A report\n\n## Rows\n\n" + "| 1 | 2 |\n" * 10_000), "success")
    assert "/acme/fraud/actions/runs/1)" in github.bodies[0]


@pytest.mark.parametrize(
    ("verdict", "outcome"), [("pass", "failure"), ("pass", "skipped"), ("pass", ""), ("fail", "success"), ("fail", "")]
)
def test_nothing_is_published_if_the_report_is_not_that_of_the_step(
    github: MemoryGitHub, verdict: str, outcome: str
) -> None:
    """Somebody may have committed a report, which is left there if the review does not run."""
    before = tip()
    with pytest.raises(Refused, match="the step `review`"):
        flow.publish(write_artifact(verdict), outcome)
    assert (tip(), github.untouched) == (before, True)


def test_nothing_is_published_after_a_newer_push(github: MemoryGitHub) -> None:
    github.before["pull"] = push_newer
    assert flow.publish(write_artifact(), "success") == 0
    assert git("show", f"{tip()}:params.yaml") == "a: 3"
    assert github.untouched


def test_nothing_is_published_after_a_newer_push_if_no_file_changed(github: MemoryGitHub) -> None:
    github.pulls[NUMBER]["head"]["sha"] = "b" * 40
    assert flow.publish(write_artifact(lock="old\n"), "success") == 0
    assert github.untouched


def test_nothing_is_published_for_a_closed_pull_request(github: MemoryGitHub) -> None:
    tip_before = tip()
    github.pulls[NUMBER]["state"] = "closed"
    assert flow.publish(write_artifact(), "success") == 0
    assert (tip(), github.untouched) == (tip_before, True)


def test_a_deleted_branch_is_not_created_again(github: MemoryGitHub) -> None:
    git("-C", git("remote", "get-url", "origin"), "config", "uploadpack.allowAnySHA1InWant", "true")
    git("push", "--quiet", "origin", f"{tip()}:refs/pull/{NUMBER}/head")
    github.before["pull"] = lambda: git("push", "--quiet", "origin", "--delete", BRANCH)
    assert flow.publish(write_artifact(), "success") == 0
    assert git("ls-remote", "origin", f"refs/heads/{BRANCH}") == ""
    assert github.untouched


@pytest.mark.parametrize("repository", [FORK, None], ids=["fork", "deleted fork"])
def test_publish_refuses_a_pull_request_of_a_fork(github: MemoryGitHub, repository: dict[str, str] | None) -> None:
    tip_before = tip()
    head = {"ref": BRANCH, "sha": tip_before, "repo": repository}
    write_event({"pull_request": {"number": NUMBER, "head": head}, "repository": OURS})
    with pytest.raises(Refused, match="comes from a fork"):
        flow.publish(write_artifact(), "success")
    assert (tip(), github.untouched) == (tip_before, True)


@pytest.mark.parametrize(
    ("method", "commits"), [("pull", False), ("create_check", True), ("dispatch", True), ("create_comment", True)]
)
def test_a_second_run_completes_an_interrupted_one(github: MemoryGitHub, method: str, commits: bool) -> None:
    tip_before = tip()
    github.errors[method] = Unreachable("GitHub: 502", "Run it again.")
    with pytest.raises(Unreachable):
        flow.publish(write_artifact(), "success")
    assert (tip() != tip_before, github.bodies) == (commits, [])
    flow.publish(write_artifact(), "success")
    assert git("rev-parse", f"{tip()}^") == tip_before
    assert github.check_runs == [(tip(), "review", "success")]
    assert set(github.started_workflows) == {("test.yml", BRANCH)}
    assert len(github.bodies) == 1


def test_nothing_is_published_without_a_report(github: MemoryGitHub) -> None:
    tip_before = tip()
    folder = write_artifact()
    (folder / review_artifact.REPORT).unlink()
    with pytest.raises(Refused, match="has no report"):
        flow.publish(folder, "success")
    assert (tip(), github.untouched) == (tip_before, True)


# Pull requests of forks and of Dependabot


@pytest.fixture
def fork(empty: MemoryGitHub) -> MemoryGitHub:
    """Pull request 7 comes from mallory/fraud, and its review, run 21, has ended."""
    head = {"ref": "change", "sha": "a" * 40, "repo": FORK}
    empty.pulls[NUMBER] = {"number": NUMBER, "state": "open", "head": head, "user": PERSON}
    write_run_event()
    return empty


def write_run_event(event: str = "pull_request", sha: str = "a" * 40, repository: dict[str, str] | None = FORK) -> None:
    """Write the event of a finished review."""
    run = {"id": RUN, "event": event, "head_sha": sha, "head_repository": repository}
    write_event({"workflow_run": run, "repository": OURS})


def artifact(
    number: object = NUMBER, size: int = 1_000, name: str = "review", report: str = "# A report\n"
) -> tuple[int, str, int, bytes]:
    """Return the artifact of a fork's review, as `MemoryGitHub.zips` has it."""
    document = json.dumps({"verdict": "pass", "pull_request": number})
    return (
        RUN,
        name,
        size,
        zipped({review_artifact.REPORT: report.encode(), review_artifact.DOCUMENT: document.encode()}),
    )


def test_a_forks_report_is_posted_once_and_updated(fork: MemoryGitHub) -> None:
    fork.zips[4] = artifact()
    assert flow.publish_fork() == flow.publish_fork() == 0
    (body,) = fork.bodies
    assert body.startswith(f"{flow.FORK_NOTICE}\n\n# A report") and "a" * 40 in body
    assert fork.downloads[0] == (4, review_artifact.LARGEST_ZIP)
    assert (fork.check_runs, fork.started_workflows) == ([], [])


def test_for_a_fork_that_was_deleted_nothing_is_posted(fork: MemoryGitHub) -> None:
    fork.zips[4] = artifact()
    write_run_event(repository=None)
    assert flow.publish_fork() == 0
    assert fork.untouched


def test_for_a_branch_of_the_repository_only_the_report_of_dependabot_is_posted(fork: MemoryGitHub) -> None:
    fork.zips[4] = artifact()
    fork.pulls[NUMBER]["head"]["repo"] = OURS
    write_run_event(repository=OURS)
    assert flow.publish_fork() == 0
    assert fork.untouched
    fork.pulls[NUMBER]["user"] = {"login": "dependabot[bot]"}
    assert flow.publish_fork() == 0
    (body,) = fork.bodies
    assert body.startswith("# A report")  # it comes from no fork


@pytest.mark.parametrize(
    "mention",
    ["@zoe", "&#64;zoe", "&#064zoe", "&#x40;zoe", "&#X0040zoe", "&commat;zoe"],
)
def test_a_forks_report_mentions_nobody(fork: MemoryGitHub, mention: str) -> None:
    fork.zips[4] = artifact(report=f"Look, {mention} &#640; &#x40a;\n")
    assert flow.publish_fork() == 0
    assert f"Look, {mention.removesuffix('zoe')}\u200bzoe &#640; &#x40a;\n" in fork.bodies[0]
    assert "@zoe" not in html.unescape(fork.bodies[0])


@pytest.mark.parametrize("event", ["push", "merge_group"])
def test_a_run_of_another_event_posts_nothing(fork: MemoryGitHub, event: str) -> None:
    fork.zips[4] = artifact()
    write_run_event(event)
    assert flow.publish_fork() == 0
    assert fork.untouched


@pytest.mark.parametrize("change", [{"state": "closed"}, {"head": {"sha": "b" * 40, "repo": FORK}}])
def test_nothing_is_posted_for_a_closed_or_newer_pull_request_of_a_fork(
    fork: MemoryGitHub, change: dict[str, Any]
) -> None:
    fork.zips[4] = artifact()
    fork.pulls[NUMBER] |= change
    assert flow.publish_fork() == 0
    assert fork.untouched


@pytest.mark.parametrize(
    ("stored", "error", "message"),
    [
        (None, Refused, "has no artifact 'review'"),
        (artifact(name="other"), Refused, "has no artifact 'review'"),
        (artifact(size=review_artifact.LARGEST_ZIP + 1), Refused, "50,000,001 bytes"),
        (artifact(number=None), Refused, "names no pull request"),
        (artifact(number=8), Refused, "8 does not come from mallory/fraud"),
        (artifact(number=10**30), InputError, "404"),
        (artifact(number=True), Refused, "review.json in the artifact is invalid"),
        (artifact(number=0), Refused, "review.json in the artifact is invalid"),
        ((RUN, "review", 6, b"no zip"), Refused, "not a readable zip"),
    ],
)
def test_an_invalid_artifact_of_a_fork_is_refused(
    fork: MemoryGitHub, stored: tuple[int, str, int, bytes] | None, error: type[MainlineError], message: str
) -> None:
    fork.pulls[8] = {"number": 8, "state": "open", "head": {"sha": "a" * 40, "repo": OURS}, "user": PERSON}
    if stored:
        fork.zips[4] = stored
    with pytest.raises(error, match=message):
        flow.publish_fork()
    assert fork.untouched
    assert (fork.downloads == []) == (not stored or stored[1] != "review" or stored[2] > review_artifact.LARGEST_ZIP)
