"""`make audit` and audit.yml, with a stand-in for pip-audit, the real zizmor, and a fake GitHub.

Needs git, act and the tools of `make workflow-tools`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.publish import audit
from tests.engine.workflows.acting import Run, Runner
from tests.engine.workflows.github_accounts import REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake, permissions

ROOT = Path(__file__).parents[3]
CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
PIP_AUDIT = """#!/bin/sh
for last; do :; done
echo "$@" >> calls
cat "answers/$(basename "$last")" || { echo "ERROR: cannot connect to the service" >&2; exit 1; }
"""
BAD_WORKFLOW = """name: bad
on: pull_request
jobs:
  bad:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


def advisory(name: str, *fixes: str) -> dict[str, Any]:
    return {"id": name, "aliases": [f"CVE-{name}"], "fix_versions": list(fixes)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with workflows without errors, and a pip-audit that prints the files of answers/."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / audit.ZIZMOR_RULES).parent.mkdir(parents=True)
    shutil.copy(ROOT / audit.ZIZMOR_RULES, tmp_path / audit.ZIZMOR_RULES)
    stand_in = tmp_path / "bin" / "pip-audit"
    stand_in.parent.mkdir()
    stand_in.write_text(PIP_AUDIT)
    stand_in.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(stand_in.parent), str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    )
    (tmp_path / "answers").mkdir()
    answer(tmp_path)
    return tmp_path


@pytest.fixture
def on_github(github: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> GitHubFake:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    return github


def answer(place: Path, **packages: Any) -> None:
    """Write what pip-audit prints for each lock: a package without advisories, and `packages`."""
    for lock in audit.LOCKS:
        document = {"dependencies": [CLEAN, *packages.get(lock, [])], "fixes": []}
        (place / "answers" / f"{lock}.txt").write_text(json.dumps(document))


def jinja(version: str = "2.4.1") -> dict[str, Any]:
    return {"name": "jinja2", "version": version, "vulns": [advisory("PYSEC-1", "2.4.2", "3.0")]}


def issues(github: GitHubFake, state: str = "open") -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = github.ask("GET", f"/issues?state={state}&labels=audit")
    return listed


def test_an_audit_without_findings_exits_with_0(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 0
    assert capsys.readouterr().out == "findings: none\n"


def test_pip_audit_checks_the_hashes_of_every_lock(place: Path) -> None:
    main(["audit"])
    calls = (place / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == [f"requirements/{lock}.txt" for lock in audit.LOCKS]
    assert all("--require-hashes" in call and "--disable-pip" in call for call in calls)
    assert all((ROOT / call.split()[-1]).is_file() for call in calls)


def test_a_finding_in_several_locks_is_one_line_and_the_exit_code_is_1(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(place, serving=[jinja()], dev=[jinja()])
    assert main(["audit"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "jinja2 2.4.1 in serving, dev: PYSEC-1 CVE-PYSEC-1 (fixed in 2.4.2, 3.0)",
        "findings: 1",
    ]


def test_an_error_in_a_workflow_file_is_listed_with_its_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / ".github/workflows/bad.yml").write_text(BAD_WORKFLOW)
    assert main(["audit"]) == 1
    out = capsys.readouterr().out
    assert ".github/workflows/bad.yml:7: code injection via template expansion (high) (template-injection)" in out


def test_findings_open_one_issue_and_the_exit_code_is_0(place: Path, on_github: GitHubFake) -> None:
    answer(place, serving=[jinja()])
    assert main(["audit", "--issue"]) == 0
    (issue,) = issues(on_github)
    assert issue["title"] == audit.ISSUE.title
    assert "| `jinja2 2.4.1 in serving` | `PYSEC-1 CVE-PYSEC-1` | `fixed in 2.4.2, 3.0` |" in issue["body"]
    assert on_github.invalid == []
    assert permissions(on_github.requests) == {"issues": "write"}


def test_the_issue_is_updated_only_if_the_findings_changed(
    place: Path, on_github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(place, serving=[jinja()])
    main(["audit", "--issue"])
    capsys.readouterr()
    main(["audit", "--issue"])
    assert capsys.readouterr().out.splitlines()[-1] == "issue 1 is up to date"
    answer(place, serving=[jinja("2.4.2")])
    main(["audit", "--issue"])
    assert capsys.readouterr().out.splitlines()[-1] == "updated issue 1"
    (issue,) = issues(on_github)
    assert "jinja2 2.4.2" in issue["body"]
    assert "jinja2 2.4.1" not in issue["body"]
    assert on_github.changes == ["POST /issues", "PATCH /issues/1"]


def test_the_issue_is_closed_without_findings_and_a_new_finding_opens_another(
    place: Path, on_github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(place, serving=[jinja()])
    main(["audit", "--issue"])
    answer(place)
    assert main(["audit", "--issue"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "closed issue 1"
    assert issues(on_github) == []
    main(["audit", "--issue"])
    assert capsys.readouterr().out.splitlines()[-1] == "no issue is open"
    answer(place, dev=[jinja()])
    main(["audit", "--issue"])
    assert [issue["number"] for issue in issues(on_github)] == [2]
    assert on_github.invalid == []


def test_other_issues_with_the_label_are_not_changed(place: Path, on_github: GitHubFake) -> None:
    on_github.ask("POST", "/issues", {"title": "Audit of the books", "body": "by hand", "labels": ["audit"]})
    main(["audit", "--issue"])
    answer(place, serving=[jinja()])
    main(["audit", "--issue"])
    assert sorted(issue["title"] for issue in issues(on_github)) == ["Audit of the books", audit.ISSUE.title]
    assert on_github.changes == ["POST /issues"]


def test_the_issue_is_not_changed_if_pip_audit_fails(
    place: Path, on_github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(place, serving=[jinja()])
    main(["audit", "--issue"])
    (place / "answers" / "dev.txt").unlink()
    capsys.readouterr()
    assert main(["audit", "--issue"]) == 3
    errors = capsys.readouterr().err.splitlines()
    assert "pip-audit failed: ERROR: cannot connect to the service" in errors[0]
    assert errors[-1] == "Run it again later; the issue was not changed."
    assert len(issues(on_github)) == 1
    assert on_github.changes == ["POST /issues"]


def test_an_audit_fails_if_pip_audit_knows_no_package(
    place: Path, on_github: GitHubFake, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = {"name": "numpy", "skip_reason": "Dependency not found and could not be audited"}
    for lock in audit.LOCKS:
        (place / "answers" / f"{lock}.txt").write_text(json.dumps({"dependencies": [skipped], "fixes": []}))
    assert main(["audit", "--issue"]) == 3
    assert "knows none of the packages" in capsys.readouterr().err
    assert on_github.changes == []


def test_unknown_packages_are_named_but_are_not_findings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(place, dev=[{"name": "acme-internal", "skip_reason": "not found"}])
    assert main(["audit"]) == 0
    assert "pip-audit does not know 1 packages: acme-internal" in capsys.readouterr().out


def test_an_error_of_github_is_printed(place: Path, on_github: GitHubFake, capsys: pytest.CaptureFixture[str]) -> None:
    answer(place, serving=[jinja()])
    on_github.fail("GET", "/issues$", status=403, message="Resource not accessible by integration")
    assert main(["audit", "--issue"]) == 1
    assert "Resource not accessible by integration" in capsys.readouterr().err


@pytest.mark.parametrize("tool", ["pip-audit", "zizmor"])
def test_a_missing_tool_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    if tool == "pip-audit":
        (place / "bin" / "pip-audit").unlink()
        shutil.copytree(place / "bin", place / "alone")
    monkeypatch.setenv("PATH", os.pathsep.join([str(place / "bin"), "/usr/bin", "/bin"]))
    assert main(["audit"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert f"{tool} is not on PATH" in errors[0]
    assert "make audit" in errors[-1]


@pytest.mark.parametrize("text", ["", "null", "[]", '{"dependencies": 3}', '{"fixes": []}'])
def test_unexpected_output_of_pip_audit_is_an_error(place: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (place / "answers" / "serving.txt").write_text(text)
    assert main(["audit"]) == 3
    assert "pip-audit failed" in capsys.readouterr().err


def test_an_audit_fails_if_zizmor_fails(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(place / ".github")
    assert main(["audit"]) == 3
    assert "zizmor failed" in capsys.readouterr().err


def test_findings_cannot_add_mentions_html_or_rows_to_the_issue(place: Path) -> None:
    bad = audit.Finding("a | b\n| c", "`@everyone` <img src=x> [x](http://y)", "\\`")
    row = next(line for line in audit.format_issue([bad], []).splitlines() if "everyone" in line)
    assert row == "| `a b c` | `@everyone <img src=x> [x](http://y)` | `-` |"


def test_a_long_list_of_findings_is_shortened_to_fit_into_an_issue(place: Path) -> None:
    many = [audit.Finding(f"package-{index} " + "x" * 500, "y" * 500, "z" * 500) for index in range(1000)]
    text = audit.format_issue(many, ["a"] * 5)
    assert len(text) < 65_536
    assert "more: `make audit`" in text


# The workflow file


@pytest.fixture
def runner(tmp_path: Path, github: GitHubFake) -> Runner:
    """acme/fraud with what audit.yml needs, and an environment whose pip-audit prints the files of answers/."""
    work = tmp_path / "work"
    for name in (".github", "pipelines", "requirements"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", str(audit.ZIZMOR_RULES)):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, work / name)
    git = ["git", "-C", str(work), "-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    for command in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"], ["commit", "--quiet", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    bare = tmp_path / "github.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", work, bare], check=True)
    github.reset(bare)
    venv = tmp_path / "runs" / "venv"
    (venv / "bin").mkdir(parents=True)
    for tool in Path(sys.prefix, "bin").iterdir():
        (venv / "bin" / tool.name).symlink_to(tool)
    (venv / "lib").symlink_to(Path(sys.prefix, "lib"))
    (venv / "pyvenv.cfg").symlink_to(Path(sys.prefix, "pyvenv.cfg"))
    shutil.copy(ROOT / "requirements" / "dev.txt", venv / ".mainline-stamp")
    (venv / "bin" / "pip-audit").unlink(missing_ok=True)
    (venv / "bin" / "pip-audit").write_text(PIP_AUDIT.replace("answers/", f"{tmp_path}/answers/"))
    (venv / "bin" / "pip-audit").chmod(0o755)
    (tmp_path / "answers").mkdir()
    answer(tmp_path)
    return Runner(bare, tmp_path / "runs", github)


def act(runner: Runner, run: int = 1) -> Run:
    event = {"schedule": "23 5 * * 1", "repository": {"full_name": REPOSITORY}}
    return runner.act("audit.yml", "schedule", event, run=run, ref="refs/heads/main", finished={"verify"})


def test_the_weekly_run_opens_an_issue_and_fails_if_pip_audit_fails(
    runner: Runner, github: GitHubFake, tmp_path: Path
) -> None:
    answer(tmp_path, serving=[jinja()])
    first = act(runner)
    assert first.conclusions["audit"] == "success", first.log
    assert first.ran("audit") == ["actions/checkout", "./.github/actions/setup", "audit"]
    assert [issue["title"] for issue in issues(github)] == [audit.ISSUE.title]
    shutil.rmtree(tmp_path / "answers")
    second = act(runner, 2)
    assert second.jobs["audit"].failed == ["audit"]
    assert "pip-audit failed: ERROR: cannot connect to the service" in second.jobs["audit"].log
    assert github.changes == ["POST /issues"]
    assert github.invalid == []
