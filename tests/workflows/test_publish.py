"""The job `publish` of review.yml, run again and again on one review, while GitHub and people get in its way.

Needs the small problem (git, DVC, the whole pipeline), act, emulate and Prism. `review` ran once for all.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.workflows.acting import Run
from tests.workflows.world import World, docs, tune

LIMIT = 65_536


@pytest.fixture
def number(world: World) -> int:
    """A pull request whose review left `handover`."""
    return world.open(tune)


def changed(handover: Path, to: Path, edit) -> Path:
    """The handover with something else in it."""
    shutil.copytree(handover, to)
    edit(to)
    return to


def untouched(world: World, number: int, head: str) -> None:
    """Nothing was pushed, put or posted."""
    assert world.pushes == []
    assert world.tip(world.ref(number)) == head
    assert world.github.changes == []
    assert world.github.comments(number) == []


def ended(run: Run) -> str:
    """The last line that `publish` printed, without make's own."""
    lines = run.jobs["publish"].step("publish").log.strip().splitlines()
    return next(line for line in reversed(lines) if not line.startswith("make"))


def test_run_again_it_leaves_one_commit_one_check_and_one_comment(world, number, handover):
    first = world.publish(number, handover)
    assert first.conclusions["publish"] == "success", first.log
    after, said = world.tip(world.ref(number)), world.github.comments(number)
    again = world.publish(number, handover, event=world.event(number) | {"pull_request": as_before(world, number)})
    assert again.conclusions["publish"] == "success", again.log
    assert (world.tip(world.ref(number)), world.github.comments(number)) == (after, said)
    assert len(world.pushes) == 1
    assert world.github.asked.count("POST /check-runs") == 1


def as_before(world: World, number: int) -> dict:
    """The pull request as the event had it, before the bot's commit."""
    pull = world.pull(number)
    parent = world.show(f"{world.ref(number)}^", "--no-patch", "--format=%H").strip()
    return pull | {"head": pull["head"] | {"sha": parent}}


def test_two_runs_at_once_agree(world, number, handover):
    """review.yml's concurrency group keeps runs of one pull request apart; where it did not, nothing contradicts."""
    event = world.event(number)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda run: world.publish(number, handover, run, event=event), (1, 2)))
    assert [run.conclusions["publish"] for run in runs] == ["success", "success"], runs[0].log + runs[1].log
    assert {push.new for push in world.pushes} == {world.tip(world.ref(number))}
    assert world.github.checks(world.tip(world.ref(number))) == {"review": "success"}
    assert {started for started, _ in world.github.dispatches} == {"test.yml"}
    assert len(world.github.comments(number)) == 1


def test_two_pull_requests_at_once_do_not_meet(world, number, handover):
    other = world.open(tune, "other")
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda each: world.publish(each, handover, each), (number, other)))
    assert [run.conclusions["publish"] for run in runs] == ["success", "success"], runs[0].log + runs[1].log
    assert {push.ref for push in world.pushes} == {"refs/heads/change", "refs/heads/other"}
    assert [len(world.github.comments(each)) for each in (number, other)] == [1, 1]


def test_a_newer_push_before_it_is_respected(world, number, handover):
    event = world.event(number)
    newer = world.push(number, docs)
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "success", run.log
    assert "Nothing to publish" in ended(run)
    untouched(world, number, newer)


def test_a_newer_push_while_it_runs_is_respected(world, number, handover):
    newer: list[str] = []
    world.github.after("GET", r"/pulls/\d+$", lambda: newer.append(world.push(number, docs)))
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    assert "meanwhile" in ended(run)
    untouched(world, number, newer[0])


def test_a_pull_request_that_was_closed_meanwhile_is_left_alone(world, number, handover):
    head = world.tip(world.ref(number))
    event = world.event(number)
    world.github.ask("PATCH", f"/pulls/{number}", {"state": "closed"})
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "success", run.log
    assert "closed meanwhile" in ended(run)
    untouched(world, number, head)


def test_a_branch_that_was_deleted_meanwhile_is_not_made_again(world, number, handover):
    def delete() -> None:
        world.work.git("push", "--quiet", "origin", ":refs/heads/change")

    world.github.after("GET", r"/pulls/\d+$", delete)
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    assert "is gone" in ended(run)
    assert (world.pushes, world.github.changes) == ([], [])
    assert world.github.tip("refs/heads/change") is None


def test_a_github_that_stumbles_twice_is_asked_again(world, number, handover):
    world.github.fail("*", "", status=502, times=2)
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    assert world.github.checks(world.tip(world.ref(number))) == {"review": "success"}
    assert len(world.github.comments(number)) == 1


def test_the_rate_limit_is_waited_for(world, number, handover):
    world.github.limit(r"/comments$", times=1, seconds=1)
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    assert len(world.github.comments(number)) == 1


def test_a_github_that_is_down_fails_before_anything_is_changed(world, number, handover):
    head = world.tip(world.ref(number))
    event = world.event(number)
    world.github.down()
    run = world.publish(number, handover, event=event)
    world.github.up()
    assert run.conclusions["publish"] == "failure", run.log
    assert "GitHub" in run.jobs["publish"].log
    untouched(world, number, head)


def test_a_missing_permission_is_named_with_what_to_do(world, number, handover):
    world.github.fail("POST", r"/check-runs$", status=403, message="Resource not accessible by integration")
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "failure"
    assert "Resource not accessible by integration" in run.jobs["publish"].log
    assert "permission" in ended(run)
    assert world.github.comments(number) == []


def test_what_failed_halfway_is_finished_by_running_it_again(world, number, handover):
    event = world.event(number)
    world.github.fail("POST", r"/dispatches$", status=403, times=1)
    assert world.publish(number, handover, event=event).conclusions["publish"] == "failure"
    assert world.github.comments(number) == []
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "success", run.log
    assert len(world.pushes) == 1
    assert world.github.checks(world.tip(world.ref(number))) == {"review": "success"}
    assert world.github.dispatches == [("test.yml", {"ref": "change"})]
    assert len(world.github.comments(number)) == 1


@pytest.mark.parametrize(("cml", "way"), [("absent", "REST"), ("present", "CML"), ("failing", "REST")])
def test_the_comment_is_one_whichever_way_it_goes(world, number, handover, cml, way):
    event = world.event(number)
    world.runner.cml = cml
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "success", run.log
    assert f"by {way}" in run.jobs["publish"].log
    world.runner.cml = "absent" if cml != "absent" else "present"
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "success", run.log
    (comment,) = world.github.comments(number)
    assert comment.startswith((handover / "reports/review/review.md").read_text()[:500])
    assert comment.count("CML watermark mainline-review") == 1


def test_a_comment_with_our_mark_by_somebody_else_is_not_touched(world, number, handover):
    fake = '![](https://cml.dev/watermark.png#abc "CML watermark mainline-review")'
    world.github.comment(number, f"Look, all is well\n\n{fake}")
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    comments = world.github.comments(number)
    assert len(comments) == 2
    assert comments[0] == f"Look, all is well\n\n{fake}"


def test_a_report_too_long_for_a_comment_is_cut_with_a_link(world, number, handover, tmp_path):
    def lengthen(folder: Path) -> None:
        report = folder / "reports/review/review.md"
        table = "\n## Rows\n\n| row | value |\n|---|---|\n" + "".join(f"| {row} | {row} |\n" for row in range(10_000))
        report.write_text(report.read_text() + table)

    run = world.publish(number, changed(handover, tmp_path / "long", lengthen))
    assert run.conclusions["publish"] == "success", run.log
    (comment,) = world.github.comments(number)
    assert len(comment) <= LIMIT
    assert "/actions/runs/1)" in comment
    assert "## Rows" not in comment


def test_only_generated_files_are_taken_from_the_review(world, number, handover, tmp_path):
    def smuggle(folder: Path) -> None:
        (folder / "params.yaml").write_text("gates: none")
        (folder / ".github/workflows").mkdir(parents=True)
        (folder / ".github/workflows/review.yml").write_text("on: push")
        (folder / "reports/review/extra.md").write_text("no")

    run = world.publish(number, changed(handover, tmp_path / "smuggled", smuggle))
    assert run.conclusions["publish"] == "success", run.log
    push = world.pushes[0]
    paths = world.changed(push.old, push.new)
    assert all(path == "dvc.lock" or path.startswith("reports/") for path in paths)
    assert not any(path.startswith("reports/review/") for path in paths)


def test_a_symbolic_link_in_the_handover_is_refused(world, number, handover, tmp_path):
    def link(folder: Path) -> None:
        (folder / "reports/metrics.json").unlink()
        (folder / "reports/metrics.json").symlink_to("/etc/passwd")

    head = world.tip(world.ref(number))
    linked = changed(handover, tmp_path / "linked", lambda folder: None)
    artifact = world.runner.folder / "artifacts/1/review"
    shutil.copytree(linked, artifact)
    link(artifact)
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "failure", run.log
    assert "no plain file" in run.jobs["publish"].log
    untouched(world, number, head)


def test_a_review_that_ended_without_a_report_posts_nothing(world, number, handover, tmp_path):
    head = world.tip(world.ref(number))
    bare = changed(handover, tmp_path / "bare-handover", lambda folder: shutil.rmtree(folder / "reports/review"))
    run = world.publish(number, bare, review="failure")
    assert run.conclusions["publish"] == "failure", run.log
    assert "holds no report" in run.jobs["publish"].log
    untouched(world, number, head)


@pytest.mark.parametrize(
    "branch",
    ["a;echo$IFS'injected'", "`id`", "$(id)", "-f", "feature/<b>(y)|é", "quote\"'&|"],
)
def test_a_branch_name_is_text_and_nothing_else(world, handover, branch):
    number = world.open(tune, branch, title="$(id) `id` | <script>alert(1)</script> ${{ github.token }}")
    run = world.publish(number, handover)
    assert run.conclusions["publish"] == "success", run.log
    assert [push.ref for push in world.pushes] == [f"refs/heads/{branch}"]
    assert "uid=" not in run.log
    assert not any(line.strip() == "injected" for line in run.log.splitlines())


def test_an_event_that_lacks_fields_is_a_clear_error(world, number, handover):
    head = world.tip(world.ref(number))
    event = world.event(number)
    del event["pull_request"]["head"]["ref"]
    run = world.publish(number, handover, event=event)
    assert run.conclusions["publish"] == "failure"
    assert "pull_request.head.ref" in run.jobs["publish"].log
    untouched(world, number, head)


def test_a_repository_that_is_a_fork_itself_publishes_its_own_pull_requests(world, number, handover):
    event = world.event(number)
    event["pull_request"]["head"]["repo"]["fork"] = True
    event["repository"]["fork"] = True
    run = world.publish(number, handover, event=event)
    assert run.conclusions.get("publish") == "success", run.log


def test_the_verdict_of_the_check_is_the_reviews(world, number, handover, tmp_path):
    def fail(folder: Path) -> None:
        path = folder / "reports/review/review.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"verdict": "fail"}))

    run = world.publish(number, changed(handover, tmp_path / "failed", fail), review="failure")
    assert run.conclusions["publish"] == "success", run.log
    assert world.github.checks(world.tip(world.ref(number))) == {"review": "failure"}
