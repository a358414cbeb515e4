"""A reason counts once in the history of the base. Needs git."""

from pathlib import Path

import pytest

from pipelines.repository import git
from pipelines.review import base_rules
from pipelines.review.base_rules import is_new_reason


def run_git(*arguments: str) -> str:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
    return git.git(*identity, *arguments)


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that commits a params.yaml with a reason in gates.allow_weaker, and returns the commit."""
    monkeypatch.chdir(tmp_path)
    run_git("init", "--quiet", "--initial-branch=main")

    def committed(text: str) -> str:
        Path("params.yaml").write_text(f"# by law\ngates:\n  seed: 1\n{text}")
        run_git("add", "--all")
        run_git("commit", "--quiet", "--allow-empty", "--message", "a change")
        return run_git("rev-parse", "HEAD")

    return committed


def test_a_reason_that_main_ever_had_counts_no_more(commit):
    first = commit("  allow_weaker: >\n    the pilot has few payments\n    (ann, 2026-11)\n")
    commit("")
    commit("  allow_weaker: another\n")
    last = commit("  allow_weaker: a third\n")
    used = "The pilot has few payments, Ann 2026-11!"
    assert not is_new_reason("allow_weaker", used, last)
    assert not is_new_reason("allow_weaker", "A  third.", last)
    assert not is_new_reason("allow_weaker", "another", last)
    assert is_new_reason("allow_weaker", "another", first)
    assert is_new_reason("allow_weaker", "by law", last)  # a comment is no reason
    assert is_new_reason("allow_gain", used, last)


def test_a_reason_of_a_branch_that_never_was_on_main_counts(commit):
    commit("")
    run_git("switch", "--quiet", "--create", "other")
    commit("  allow_weaker: tried on a branch\n")
    commit("  allow_weaker: merged\n")
    run_git("switch", "--quiet", "main")
    run_git("merge", "--quiet", "--no-ff", "--message", "merge", "other")
    last = commit("")
    assert is_new_reason("allow_weaker", "tried on a branch", last)
    assert not is_new_reason("allow_weaker", "merged", last)


@pytest.mark.parametrize("reason", [None, "", "...", " - "])
def test_what_has_no_words_is_no_reason(reason):
    assert not is_new_reason("allow_gain", reason, "HEAD")


def test_so_many_versions_of_params_yaml_are_read(commit, monkeypatch):
    commit("  allow_weaker: long ago\n")
    commit("")
    last = commit("  allow_weaker: now\n")
    monkeypatch.setattr(base_rules, "VERSIONS", 2)
    assert is_new_reason("allow_weaker", "long ago", last) and not is_new_reason("allow_weaker", "now", last)


def test_a_version_that_cannot_be_read_gives_no_reason(commit):
    commit("  allow_weaker: [a broken\n")
    commit("  allow_weaker: {a: reason}\n")
    assert is_new_reason("allow_weaker", "a broken", commit("")) and is_new_reason("allow_weaker", "a reason", "HEAD")
