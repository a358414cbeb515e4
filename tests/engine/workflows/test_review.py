"""review.yml and report-fork.yml, run from end to end by act, on the small problem, with GitHub as emulate imitates it.

Needs the small problem (git, DVC, the whole pipeline), act, emulate and Prism.
"""

import io
import json
import zipfile
from pathlib import Path

import yaml

from pipelines.github import checks
from pipelines.publish.flow import FORK_NOTICE
from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import must, verb
from tests.engine.workflows.github_accounts import DEPENDABOTS
from tests.engine.workflows.github_fake import permissions, zipped
from tests.engine.workflows.test_permissions import PERMISSIONS
from tests.engine.workflows.world import World, docs, spoil, tune

REVIEW = ["actions/checkout", "./.github/actions/setup", "review", "summary", "actions/upload-artifact", "check-lock"]
STALE = [*REVIEW, "cache"]  # of a commit that lacks what its tree gives
PUBLISH = [
    "actions/checkout",
    "./.github/actions/setup",
    "actions/download-artifact",
    "./.github/actions/cml",
    "publish",
]
MARK = '"CML watermark mainline-review")'


def test_a_better_model_is_committed_checked_tested_and_told_of(world: World, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    world.runner.variables |= {"DVC_REMOTE_URL": str(storage), "AWS_ROLE_ARN": "arn:aws:iam::1:role/models"}
    number = world.open(tune)
    reviewed = world.tip(world.ref(number))
    run = world.review(number)
    assert run.conclusions == {"review": "failure", "publish": "success"}, run.log
    # The person's commit lacks what its tree gives: it must not be merged before the bot's.
    assert run.jobs["review"].failed == ["check-lock"]
    assert "the job `publish` commits them" in run.jobs["review"].step("check-lock").log
    stored = [*STALE[:2], "./.github/actions/storage", "review", "push", *STALE[3:]]
    assert run.ran("review") == stored
    assert "assumed arn:aws:iam::1:role/models" in run.jobs["review"].step("./.github/actions/storage").log
    assert run.ran("publish") == PUBLISH  # no credentials of the storage beside the right to write
    # The bot commit: on the reviewed one, with generated files alone.
    bot = world.tip(world.ref(number))
    assert [(push.job, push.old, push.new, push.ref) for push in world.pushes] == [
        ("publish", reviewed, bot, "refs/heads/change")
    ]
    assert world.show(f"{bot}^", "--no-patch", "--format=%H").strip() == reviewed
    assert world.show(bot, "--no-patch", "--format=%an").strip() == "github-actions[bot]"
    changed = world.changed(reviewed, bot)
    assert {"dvc.lock", "reports/metrics.json"} <= set(changed)
    assert all(path == "dvc.lock" or path.startswith("reports/") for path in changed)
    assert not any(path.startswith("reports/review/") for path in changed)
    # The required checks are on that commit: one is put, the other's workflow is started on its branch.
    assert world.github.checks(bot) == {"review": "success"}
    assert world.github.dispatches == [("test.yml", {"ref": "change"})]
    # One comment, and nothing asked of GitHub that the job's permissions do not give.
    comments = world.github.comments(number)
    assert len(comments) == 1
    assert comments[0].endswith(MARK)
    needed = permissions(world.github.requests)
    granted = PERMISSIONS["review.yml", "publish"]
    assert {name for name, level in needed.items() if granted.get(name) not in (level, "write")} == set()
    # The model that the lock names is in the remote.
    lock = yaml.safe_load(world.show(f"{bot}:dvc.lock"))
    model = next(out["md5"] for out in lock["stages"]["export"]["outs"] if out["path"] == "models/model.onnx")
    assert (storage / "files/md5" / model[:2] / model[2:]).read_bytes() == (
        run.artifacts["review"] / "models/model.onnx"
    ).read_bytes()

    second = world.push(number, docs)
    run = world.review(number, 2)
    assert run.conclusions == {"review": "success", "publish": "success"}, run.log
    assert world.tip(world.ref(number)) == second  # what the bot committed holds still
    updated = world.github.comments(number)
    assert len(updated) == 1
    assert updated[0].endswith(MARK)
    assert world.github.changes[-1].startswith("PATCH /issues/comments/")
    assert run.jobs["review"].summary == (run.artifacts["review"] / "reports/review/review.md").read_text()
    assert world.report_fork(number, 2).conclusions == {}  # that is for forks


def test_a_worse_model_fails_and_the_comment_says_why(world: World) -> None:
    number = world.open(spoil)
    reviewed = world.tip(world.ref(number))
    run = world.review(number)
    assert run.code != 0
    assert run.conclusions == {"review": "failure", "publish": "success"}, run.log
    assert run.jobs["review"].failed == ["review"]
    assert run.ran("review") == REVIEW[:-1]  # the report is there all the same
    report = json.loads((run.artifacts["review"] / "reports/review/review.json").read_text())
    failed = [gate["name"] for gate in report["gates"] if gate["blocks"] and not gate["passed"]]
    assert any(name.startswith(("floor", "regression")) for name in failed)
    bot = world.tip(world.ref(number))
    assert bot != reviewed
    assert world.github.checks(bot) == {"review": "failure"}
    (comment,) = world.github.comments(number)
    assert "fail" in comment[:300].lower()
    words = comment.replace("\\", "")  # Markdown's own
    assert f"`{failed[0]}`: {next(gate['why'] for gate in report['gates'] if gate['name'] == failed[0])}" in words
    assert comment.startswith(run.jobs["review"].summary.rstrip())


def test_a_forks_change_gets_its_report_as_text_and_nothing_is_pushed_for_it(world: World, tmp_path: Path) -> None:
    world.runner.variables |= {"DVC_REMOTE_URL": str(tmp_path / "storage"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}

    def validate_more(repo: Repo) -> None:
        repo.params(lambda document: document["validation"].update(max_missing=0.19))

    number = world.open(validate_more, fork=True)  # its author did not reproduce
    run = world.review(number, 11)
    assert run.conclusions == {"review": "failure"}, run.log
    assert run.jobs["review"].failed == ["check-lock"]
    assert "make update" in run.jobs["review"].step("check-lock").log
    assert run.ran("review") == STALE  # no credentials, no push
    assert world.github.requests == []
    assert not (tmp_path / "storage").exists()
    assert (run.artifacts["review"] / "dvc.lock").read_text() != world.show(f"{world.ref(number)}:dvc.lock")

    # A fork can hand over anything: its report is text, and nothing of it is written or run.
    mark, text = tmp_path / "ran", run.artifacts["review"] / "reports/review/review.md"
    report = (
        f"$(touch {mark}) `touch {mark}`\n::set-output name=x::y\n<script>fetch('/')</script>\n"
        f"${{{{ github.token }}}}\n'; touch {mark}; '\n@everyone\n"
    )
    text.write_text(report)
    archive = io.BytesIO(zipped(run.artifacts["review"]))
    with zipfile.ZipFile(archive, "a") as climbing:
        for name in (f"../../../../../../../..{mark}", str(mark)):
            climbing.writestr(name, "x")
    world.github.artifact(11, "review", archive.getvalue())
    told = world.report_fork(number, 11)
    assert told.conclusions == {"report-fork": "success"}, told.log
    assert told.ran("report-fork") == [
        "actions/checkout",
        "./.github/actions/setup",
        "./.github/actions/cml",
        "publish",
    ]
    (comment,) = world.github.comments(number)
    assert comment.startswith(f"{FORK_NOTICE}\n\n{report.rstrip()}".replace("@", "@\u200b")) and comment.endswith(MARK)
    assert "fetch('/')" not in told.log  # the report is not printed: a log has commands too
    assert "with CML: pass" in told.log and not mark.exists()
    assert world.github.changes == [f"POST /issues/{number}/comments"]
    needed = permissions(world.github.requests)
    granted = PERMISSIONS["report-fork.yml", "report-fork"]
    assert {name for name, level in needed.items() if granted.get(name) not in (level, "write")} == set()
    assert world.pushes == []


def test_dependabots_pull_request_is_reviewed_as_a_forks_is_though_its_branch_is_ours(
    world: World, tmp_path: Path
) -> None:
    world.runner.variables |= {
        "DVC_REMOTE_URL": str(tmp_path / "storage"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    number = world.open(docs, "dependabot/uv/requirements/python-1", token=DEPENDABOTS)
    head = world.tip(world.ref(number))
    run = world.review(number, 13)
    # The check that GitHub puts for the job itself is the required one.
    assert run.conclusions == {checks.REVIEW: "success"}, run.log
    assert run.ran("review") == REVIEW
    assert world.github.requests == []
    assert not (tmp_path / "storage").exists()
    assert "127.0.0.1:9" not in run.log

    world.github.artifact(13, "review", run.artifacts["review"])
    told = world.report_fork(number, 13)
    assert told.conclusions == {"report-fork": "success"}, told.log
    (comment,) = world.github.comments(number)
    assert comment.endswith(MARK)
    assert (world.pushes, world.tip(world.ref(number))) == ([], head)


def test_a_remote_that_is_down_fails_with_its_name_and_nothing_is_half_posted(world: World) -> None:
    world.runner.variables["DVC_REMOTE_URL"] = "s3://bucket/there"
    world.runner.environment |= {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    number = world.open(tune)
    before = world.tip(world.ref(number))
    run = world.review(number)
    assert run.conclusions["review"] == "failure"
    assert "the DVC remote cannot be reached" in run.jobs["review"].step("review").log, run.log
    assert "has no report" in run.jobs["publish"].log
    assert world.tip(world.ref(number)) == before
    assert (world.pushes, world.github.changes) == ([], [])


def test_the_merge_queue_takes_a_lock_that_matches_its_tree_with_the_model_that_main_kept(
    world: World, tmp_path: Path
) -> None:
    remote = {"DVC_REMOTE_URL": str(tmp_path / "storage")}
    must(verb(world.work, "push", **remote))
    world.use_cache(None)
    world.runner.variables |= remote
    kept = world.keep()
    assert kept.conclusions == {"keep": "success"}, kept.log
    assert kept.ran("keep") == ["actions/checkout", "./.github/actions/setup", "make repro"]
    assert "pulled  export" in kept.log
    del world.runner.variables["DVC_REMOTE_URL"]
    # A registered model is not trained again.
    release = must(verb(world.work, "release", "id")).last
    message = f"release: {release}\nimage: example.invalid/fraud@sha256:{'0' * 64}\nmodel: m\nsignature: s\n"
    world.work.git("tag", "--annotate", "--cleanup=verbatim", "-m", message, "fraud@v1.0.0", "origin/main")
    world.work.git("push", "--quiet", "origin", "fraud@v1.0.0")
    run = world.queue(world.open(docs))
    assert run.conclusions == {"review": "success"}, run.log
    assert run.ran("review") == [*REVIEW, "verify"]
    assert f"Not trained again: release id {release}" in run.jobs["review"].step("verify").log
    report = json.loads((run.artifacts["review"] / "reports/review/review.json").read_text())
    assert {stage["state"] for stage in report["stages"]} <= {"cached", "pulled"}
    assert "Reproducing main's model" not in run.log
    assert (world.pushes, world.github.requests) == ([], [])
