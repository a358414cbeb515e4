"""Where the harness could be wrong and every test green: what it reports to have run, and what a job sees.

Needs act, git and bash.
"""

import subprocess
from pathlib import Path

import pytest

from tests.engine.workflows.acting import Runner

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
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
        run: env
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
    assert run.jobs["first"].summary == "# Summary\n"
    assert run.jobs["second"].step("told").log == "failure from main got/file got/folder/in\n"
    with pytest.raises(AssertionError, match="other did not run"):
        run.ran("other")


def test_a_job_sees_the_commit_of_its_ref_and_nothing_of_the_callers_environment(runner, source, monkeypatch):
    monkeypatch.setenv("GH_TOKEN", "of-the-caller")
    (source / "file").write_text("from the branch")
    commit(source, "change")
    run = tiny(runner, ref="refs/heads/change")
    assert run.jobs["first"].steps["say"].outputs == {"said": "from the branch"}
    assert "refs/heads/change" in run.jobs["first"].step("cleans up").log
    assert "of-the-caller" not in run.log
