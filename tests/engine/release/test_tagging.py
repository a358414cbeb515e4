"""The tags that releases make, in a real repository with an origin; GTO reads the same from them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.cli.errors import Refused, Unreachable
from pipelines.release import tagging
from pipelines.repository import origin, push_tags, tags
from pipelines.repository.git import git, try_git
from pipelines.repository.push_tags import TagTaken
from tests.engine.release.tag_repository import CONTRACT, annotation, assign_version, push_commit, register_version


def gto(*arguments: str) -> str:
    """What GTO prints."""
    command = [str(Path(sys.executable).parent / "gto"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gto_shows_version_and_assignment(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    made = assign_version(version)
    assert (made.tag, made.version, made.release_id) == ("fraud#production#1", "fraud@v1.0.0", "a" * 12)
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.0.0"
    assert try_git("ls-remote", "--exit-code", "origin", "refs/tags/fraud#production#1")


def test_annotation_is_read_as_it_was_written(tag_repository: Path) -> None:
    version = register_version("1", (1, 0, 0))  # digits alone
    made = assign_version(version, pull_request=7, approved_by=("ann", "bob"), bypassed=False, metrics={"roc_auc": 0.5})
    (read,) = tags.list_assignments("fraud")
    assert read.annotation == made.annotation
    assert read.release_id == "1" * 12
    assert (read.annotation.pull_request, read.annotation.approved_by, read.annotation.bypassed) == (
        7,
        ("ann", "bob"),
        False,
    )
    assert tags.list_versions("fraud") == [version]


def test_assignments_within_a_second_keep_their_order(tag_repository: Path) -> None:
    first, second = register_version("a", (1, 0, 0)), register_version("b", (1, 1, 0))
    for version in (first, second, first, second):
        assign_version(version)
    history = tags.list_assignments("fraud")
    assert [each.counter for each in history] == [1, 2, 3, 4]
    assert len({each.assigned_at for each in history}) == 4
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.1.0"


def test_clock_behind_the_last_tag_keeps_the_order(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = register_version("a", (1, 0, 0)), register_version("b", (1, 1, 0))
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    assign_version(first)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    assign_version(second)
    newest = tags.find_newest_assignment("fraud")
    assert newest and newest.release_id == "b" * 12
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.1.0"


def test_a_tag_created_by_hand_dated_in_the_future_does_not_date_later_ones(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    git("tag", "--annotate", "-m", "a note", "fraud#note#9", env={"GIT_COMMITTER_DATE": "4000000000 +0000"})
    assert assign_version(version).assigned_at < datetime.now(UTC) + timedelta(minutes=1)


def test_last_assignment_is_in_production_whatever_its_counter(
    tag_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = iter([6, 2])
    monkeypatch.setattr(tags, "find_highest_counter", lambda _: next(counters))
    for release, number in (("a", (1, 0, 0)), ("b", (1, 1, 0))):
        assign_version(register_version(release, number))
    assert [each.counter for each in tags.list_assignments("fraud")] == [7, 3]
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.1.0"


def test_counter_is_above_tags_created_by_hand(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    git("tag", "--annotate", "-m", "by hand: [", "fraud#production#41", "HEAD")
    git("push", "--quiet", "origin", "fraud#production#41")
    assert assign_version(version).tag == "fraud#production#42"
    git("tag", "fraud#production#50")  # no annotation: GTO ignores it, but the name is taken
    assert assign_version(version).tag == "fraud#production#51"


def test_canary_runs_until_it_is_ended_or_production_changes(tag_repository: Path) -> None:
    champion, challenger = register_version("a", (1, 0, 0)), register_version("b", (1, 1, 0))
    assign_version(champion)
    assert tags.find_canary("fraud") is None
    for weight in (5, 25):
        canary = assign_version(challenger, tags.CANARY, weight=weight)
        assert tags.find_canary("fraud") == canary
        assert git("cat-file", "tag", canary.tag).split("\n\n", 1)[1].startswith(f"weight: {weight}\n")
    assert canary.tag == "fraud#canary#3"
    assert gto("show", "fraud#canary", "--ref").strip() == "fraud@v1.1.0"
    newest = tags.find_newest_assignment("fraud")
    assert newest and newest.version == "fraud@v1.0.0"
    ended = assign_version(challenger, tags.CANARY_END, why="errors")
    assert (ended.tag, tags.find_canary("fraud")) == ("fraud#canary!#4", None)
    assert gto("show", "fraud#canary", "--ref").strip() == ""
    assert tags.list_lasting_versions("fraud") == [champion]
    assign_version(challenger, tags.CANARY, weight=5)
    assign_version(challenger)
    assert tags.find_canary("fraud") is None
    assert tags.list_lasting_versions("fraud") == [challenger, champion]


def test_old_version_is_assigned_again_on_its_own_commit(tag_repository: Path) -> None:
    first, second = register_version("a", (1, 0, 0)), register_version("b", (1, 1, 0))
    assign_version(first)
    assign_version(second)
    back = assign_version(first)
    assert (back.tag, back.version, back.commit) == ("fraud#production#3", "fraud@v1.0.0", first.commit)
    assert back.main_commit != first.commit
    assert gto("show", "fraud#production", "--ref").strip() == "fraud@v1.0.0"


def test_counter_pushed_by_another_clone_is_taken(tag_repository: Path, tmp_path: Path) -> None:
    version = register_version("a", (1, 0, 0))
    subprocess.run(["git", "clone", "--quiet", str(tmp_path / "origin.git"), str(tmp_path / "other")], check=True)
    git("tag", "--annotate", "-m", annotation("b").to_yaml(), "fraud#production#1", cwd=tmp_path / "other")
    git("push", "--quiet", "origin", "refs/tags/fraud#production#1", cwd=tmp_path / "other")
    with pytest.raises(TagTaken):
        assign_version(version)
    # It has been fetched; the next number is free.
    assert git("cat-file", "-p", "fraud#production#1").count("b" * 12) == 1
    assert assign_version(version).tag == "fraud#production#2"


def test_local_tag_is_replaced_by_the_pushed_one(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    git("tag", "--annotate", "-m", "half", "fraud@v1.0.1", "HEAD")
    again = register_version("c", (1, 0, 1))
    assert [each.tag for each in tags.list_versions("fraud")] == [version.tag, again.tag]


def test_taken_version_number_is_skipped(tag_repository: Path) -> None:
    known = [register_version("a", (1, 4, 2))]
    taken: set[tags.Number] = {(1, 4, 2), (1, 4, 3), (1, 5, 0), (1, 6, 0)}
    assert tagging.choose_next_number(known, taken, annotation("b")) == (1, 4, 4)
    assert tagging.choose_next_number(known, taken, annotation("b", model="m2")) == (1, 7, 0)
    assert tagging.choose_next_number([], {(1, 0, 0)}, annotation("b")) == (1, 1, 0)


def test_annotation_that_cannot_be_read_again_is_refused(tag_repository: Path) -> None:
    with pytest.raises(Refused, match="could not be read"):
        register_version("a", (1, 0, 0), metrics={"roc_auc": float("nan")})
    assert git("ls-remote", "--tags", "origin") == ""


def test_rejected_push_leaves_no_local_tag(tag_repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'protected tag' >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Unreachable, match="protected tag"):
        push_tags.register_version("fraud", (1, 0, 0), git("rev-parse", "HEAD"), annotation("a"))
    assert git("tag") == ""


def test_push_with_a_lost_response_succeeds(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = origin.run_git

    def lose_answer(*arguments: str) -> str:
        answer = call(*arguments)
        if arguments[0] == "push":
            raise subprocess.CalledProcessError(1, "git push", stderr="the connection was reset")
        return answer

    monkeypatch.setattr(origin, "run_git", lose_answer)
    version = push_tags.register_version("fraud", (1, 0, 0), git("rev-parse", "HEAD"), annotation("a"))
    assert tags.list_versions("fraud") == [version]


def test_tags_are_local_without_an_origin(tag_repository: Path) -> None:
    git("remote", "remove", "origin")
    tags.fetch_tags("fraud")
    version = push_tags.register_version("fraud", (1, 0, 0), git("rev-parse", "HEAD"), annotation("a"))
    assert assign_version(version).tag == "fraud#production#1"


def test_a_fetch_deletes_tags_that_origin_lacks_but_no_branch_that_was_fetched_before(tag_repository: Path) -> None:
    git("tag", "fraud@v9.0.0")
    git("push", "--quiet", "origin", "HEAD:feature")
    git("fetch", "--quiet", "origin")
    git("push", "--quiet", "origin", ":feature")
    git("update-ref", "refs/remotes/origin/feature", "HEAD")  # of another clone, which did not delete it
    tags.fetch_tags("fraud")
    assert git("tag") == "" and git("rev-parse", "origin/feature")


def test_unreachable_origin_is_an_error(tag_repository: Path, tmp_path: Path) -> None:
    (tmp_path / "origin.git").rename(tmp_path / "gone.git")
    with pytest.raises(Unreachable, match="origin cannot be reached"):
        tags.fetch_tags("fraud")


def test_tags_created_by_hand_are_ignored(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    for tag, text in (
        ("fraud@v2.0.0", "a word by a person: ["),
        ("fraud@v2.0.1", "only words"),
        ("fraud@v2.0.2", "release: 0123456789ab\n"),
        ("fraud@vtwo", annotation("b").to_yaml()),
        ("fraud@v01.0.0", annotation("b").to_yaml()),
        ("churn@v1.0.0", annotation("c").to_yaml()),
    ):
        git("tag", "--annotate", "--cleanup=verbatim", "-m", text, tag)
    git("tag", "fraud@v3.0.0")
    assert tags.list_versions("fraud") == [version]
    assert tags.versions_by_release_id("fraud") == {"a" * 12: "fraud@v1.0.0"}


def test_lower_of_two_versions_with_one_release_id_is_used(tag_repository: Path) -> None:
    register_version("a", (1, 2, 0))
    register_version("a", (1, 10, 0))
    found = tags.find_version("fraud", "a" * 12)
    assert found and found.tag == "fraud@v1.2.0"
    assert tags.versions_by_release_id("fraud") == {"a" * 12: "fraud@v1.2.0"}
    assert [each.number for each in tags.list_versions("fraud")] == [(1, 2, 0), (1, 10, 0)]


@pytest.mark.parametrize(
    ("next_one", "number"),
    [
        (annotation("b"), (1, 4, 3)),
        (annotation("b", model="m2"), (1, 5, 0)),
        (annotation("b", model="m2", signature="s2"), (1, 5, 0)),  # another threshold breaks no client
        (
            annotation("b", model="m2", signature="s2", contract={**CONTRACT, "inputs": CONTRACT["inputs"][:1]}),
            (2, 0, 0),
        ),
    ],
)
def test_version_number_shows_what_changed(
    tag_repository: Path, next_one: tags.Annotation, number: tags.Number
) -> None:
    assert tagging.choose_next_number([], set(), next_one) == (1, 0, 0)
    known = [register_version("a", (1, 4, 2))]
    assert tagging.choose_next_number(known, {(1, 4, 2)}, next_one) == number


def test_bot_tags_if_git_has_no_committer(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME")
        monkeypatch.delenv(f"GIT_{role}_EMAIL")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    push_tags.register_version("fraud", (1, 0, 0), git("rev-parse", "HEAD"), annotation("a"))
    assert "github-actions[bot]" in git("cat-file", "-p", "fraud@v1.0.0")


def test_assignment_stays_on_the_version_commit_when_main_advances(tag_repository: Path) -> None:
    version = register_version("a", (1, 0, 0))
    assign_version(version)
    head = push_commit("documentation")
    assert git("rev-parse", "fraud#production#1^{commit}") == version.commit != head


@pytest.mark.parametrize(
    ("assigned", "lasting"),
    [
        ("", "cba"),
        ("abc", "cba"),
        ("abcb", "ba"),
        ("abca", "a"),
        ("acb", "ba"),
        ("abac", "ca"),
        ("abab", "cba"),
    ],
)
def test_versions_that_an_older_one_replaced_do_not_last(tag_repository: Path, assigned: str, lasting: str) -> None:
    versions = {name: register_version(name, (1, number, 0)) for number, name in enumerate("abc")}
    for name in assigned:
        assign_version(versions[name])
    assert "".join(version.release_id[0] for version in tags.list_lasting_versions("fraud")) == lasting
