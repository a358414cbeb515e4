"""The harness itself, on workflow files of a few lines. Needs act, git and bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.workflows.acting import Runner

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
CACHE = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae"
TINY = f"""
on: [push, pull_request, merge_group, workflow_run]
jobs:
  first:
    runs-on: ubuntu-latest
    outputs:
      said: ${{{{ steps.say.outputs.said }}}}
    steps:
      - uses: {CHECKOUT} # v7.0.1
        with:
          persist-credentials: false
      - uses: ./.github/actions/hello
      - id: say
        run: |
          echo "said=$(cat file)" >> "$GITHUB_OUTPUT"
          echo "# Summary" >> "$GITHUB_STEP_SUMMARY"
      - name: skipped
        if: github.event_name == 'never'
        run: echo "not this"
      - name: fails
        run: exit 3
      - name: not reached
        run: echo "nor this"
      - name: cleans up
        if: always()
        run: echo "$GITHUB_REF $GITHUB_SHA $GITHUB_RUN_ID $GITHUB_REPOSITORY"
      - uses: {UPLOAD}
        if: always()
        with:
          name: things
          path: |
            file
            folder/
            !folder/out
  second:
    if: always()
    needs: first
    runs-on: ubuntu-latest
    steps:
      - uses: {DOWNLOAD}
        with:
          name: things
          path: got
      - name: told
        run: echo "${{{{ needs.first.result }}}} ${{{{ needs.first.outputs.said }}}} $(find got -type f | sort | xargs)"
  other:
    if: github.event_name == 'never'
    runs-on: ubuntu-latest
    steps:
      - run: echo never
"""
HELLO = """
name: hello
description: A local action.
runs:
  using: composite
  steps:
    - run: echo "hello from a local action"
      shell: bash
"""


@pytest.fixture
def source(tmp_path):
    """A clone with one commit, and its bare origin."""
    bare, work = tmp_path / "bare.git", tmp_path / "work"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    subprocess.run(["git", "-C", bare, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    subprocess.run(["git", "clone", "--quiet", bare, work], check=True, capture_output=True)
    for name, text in {
        "file": "from main",
        "folder/in": "1",
        "folder/out": "2",
        "folder/.hidden": "3",
        ".github/workflows/tiny.yml": TINY,
        ".github/actions/hello/action.yml": HELLO,
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    commit(work, "main")
    return work


def commit(work: Path, branch: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    subprocess.run(["git", "-C", work, "add", "--all"], check=True)
    subprocess.run(["git", "-C", work, *identity, "commit", "--quiet", "-m", branch], check=True)
    subprocess.run(["git", "-C", work, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}"], check=True)
    return subprocess.run(["git", "-C", work, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


@pytest.fixture
def runner(source, github, tmp_path):
    return Runner(tmp_path / "bare.git", tmp_path / "runs", github)


def tiny(runner: Runner, run: int = 7, ref: str = "refs/heads/main"):
    return runner.act("tiny.yml", "push", {"ref": ref}, run=run, ref=ref)


def test_exactly_the_jobs_and_steps_that_ran_are_told(runner):
    run = tiny(runner)
    assert run.conclusions == {"first": "failure", "second": "success"}
    assert run.code != 0
    assert run.ran("first") == [
        "actions/checkout",
        "./.github/actions/hello",
        'echo "said=$(cat file)" >> "$GITHUB_OUTPUT"',
        "fails",
        "cleans up",
        "actions/upload-artifact",
    ]
    assert run.jobs["first"].failed == ["fails"]
    with pytest.raises(AssertionError, match="other did not run"):
        run.ran("other")


def test_outputs_summary_and_log_are_told(runner, source):
    run = tiny(runner)
    first = run.jobs["first"]
    assert first.summary == "# Summary\n"
    assert first.steps["say"].outputs == {"said": "from main"}
    assert "hello from a local action" in first.step("./.github/actions/hello").log
    head = subprocess.run(["git", "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert first.step("cleans up").log == f"refs/heads/main {head} 7 acme/fraud\n"


def test_an_artifact_holds_what_was_named_without_hidden_files_and_reaches_the_next_job(runner):
    run = tiny(runner)
    things = run.artifacts["things"]
    files = sorted(path.relative_to(things).as_posix() for path in things.rglob("*") if path.is_file())
    assert files == ["file", "folder/in"]
    assert run.jobs["second"].step("told").log == "failure from main got/file got/folder/in\n"


def test_a_job_sees_the_commit_of_its_ref(runner, source):
    (source / "file").write_text("from the branch")
    commit(source, "change")
    run = tiny(runner, ref="refs/heads/change")
    assert run.jobs["first"].steps["say"].outputs == {"said": "from the branch"}


def test_a_hook_runs_between_two_steps(runner, tmp_path):
    runner.hook("first-uploads", f"echo meanwhile > {tmp_path / 'mark'}")
    tiny(runner)
    assert (tmp_path / "mark").read_text() == "meanwhile\n"


def test_an_action_without_a_stand_in_is_named(runner, source):
    (source / ".github/workflows/other.yml").write_text("jobs: {a: {steps: [\n  uses: some/thing@v1\n]}}")
    (source / ".github/workflows/other.yml").write_text("jobs:\n  a:\n    steps:\n      - uses: some/thing@v1\n")
    commit(source, "main")
    with pytest.raises(AssertionError, match="some/thing: it has no stand-in"):
        tiny(runner)


def test_a_job_reaches_the_api_and_nothing_else_of_the_callers_environment(runner, source, github, monkeypatch):
    monkeypatch.setenv("GH_TOKEN", "of-the-caller")
    number = github.pull("change")
    script = (
        'curl --silent --fail --header "Authorization: Bearer $TOKEN" --header "Content-Type: application/json" '
        f'--data \'{{"body": "hi"}}\' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/{number}/comments" >/dev/null'
    )
    step = {"name": "ask", "run": script, "env": {"TOKEN": "${{ github.token }}"}}
    write(source, {"a": {"runs-on": "ubuntu-latest", "steps": [step, {"name": "env", "run": "env"}]}})
    run = tiny(runner)
    assert run.conclusions == {"a": "success"}, run.log
    assert github.comments(number) == ["hi"]
    assert "of-the-caller" not in run.log


def test_caches_of_main_are_seen_by_branches_and_not_the_other_way_round(runner, source):
    keep = {"uses": CACHE, "with": {"path": "kept", "key": "k-${{ github.ref }}", "restore-keys": "k-"}}
    show = {"name": "show", "run": 'cat kept/* 2>/dev/null || echo none; mkdir -p kept; echo "$GITHUB_REF" > kept/x'}
    write(source, {"a": {"runs-on": "ubuntu-latest", "steps": [keep, show]}})
    subprocess.run(["git", "-C", source, "push", "--quiet", "origin", "HEAD:refs/heads/change"], check=True)
    shown = [
        tiny(runner, run=run, ref=f"refs/heads/{branch}").jobs["a"].step("show").log.strip()
        for run, branch in enumerate(["change", "main", "change", "main"], start=1)
    ]
    assert shown == ["none", "none", "refs/heads/change", "refs/heads/main"]


def test_the_environment_of_a_run_is_this_one_and_cannot_be_mended_by_it(runner, source):
    write(source, {"a": {"runs-on": "ubuntu-latest", "steps": [{"name": "ask", "run": SHOW}]}})
    log = tiny(runner).jobs["a"].step("ask").log.split()
    assert Path(log[0]) == runner.folder / "venv"
    assert log[1] == "True"


SHOW = """"$VENV/bin/python" -c 'import sys, dvc; print(sys.prefix, sys.version_info >= (3, 11))'"""


def write(source: Path, jobs: dict) -> None:
    import yaml

    (source / ".github/workflows/tiny.yml").write_text(yaml.safe_dump({"on": "push", "jobs": jobs}, width=1000))
    commit(source, "main")
