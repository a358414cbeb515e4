"""Which tests a copy of the template runs: the team's while its engine is unchanged, else all. Needs git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import __main__ as entry
from pipelines.commands.template import PATH, Template, choose_tests, read_template
from pipelines.repository.git import git
from testing.repository import ROOT, Repo

# Runs the verb `template` and pytest as they are, and prints every other command instead of running it.
PYTHON = f"""#!/bin/sh
case "$*" in
  "-m pipelines template"*) exec {sys.executable} "$@" ;;
  "-m pytest"*team_files*) exec {sys.executable} "$@" ;;
esac
echo "ran: $*"
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small copy: a file of the engine, two of the team, and template.json. It is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("pipelines/review/judge.py", "params.yaml", "tests/team/test_example.py", ".gitignore"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("*.pyc\n")
    shutil.copy(ROOT / PATH, tmp_path)
    git("init", "--quiet")
    git("add", "--all")
    return tmp_path


@pytest.fixture
def recorded(copy: Path) -> Path:
    """The copy after `make template`."""
    assert entry.main(["template", "--write"]) == 0
    return copy


def test_the_template_itself_tests_everything(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["template"]) == 0
    printed = capfd.readouterr()
    assert printed.out == "engine\n"
    assert "template.json records no engine" in printed.err and printed.err.count("\n") == 1


def test_a_copy_with_an_unchanged_engine_tests_the_teams_files(
    recorded: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(["template"]) == 0
    printed = capfd.readouterr()
    assert printed.out.splitlines()[-1] == "team"
    assert printed.err == "Testing the team's files only: the engine is that of template 0.1.0, unchanged.\n"


@pytest.mark.parametrize(
    "file",
    ["pipelines/review/judge.py", "pipelines/new.py", "Makefile", ".github/workflows/review.yml", "tests/conftest.py"],
)
def test_a_changed_or_new_file_of_the_engine_makes_everything_tested(recorded: Path, file: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("changed\n")
    assert choose_tests(read_template())[0] == "engine"
    assert entry.main(["template", "--write"]) == 0
    assert choose_tests(read_template())[0] == "team"


def test_a_removed_file_of_the_engine_makes_everything_tested(recorded: Path) -> None:
    Path("pipelines/review/judge.py").unlink()
    assert choose_tests(read_template())[0] == "engine"


@pytest.mark.parametrize(
    "file",
    [
        "params.yaml",
        "dvc.yaml",
        "README.md",
        ".github/CODEOWNERS",
        "tests/team/test_features.py",
        "tests/critical/cases.yaml",
        "features/amounts.py",
        "notebooks/look.ipynb",
        "pipelines/review/judge.pyc",
    ],
)
def test_the_teams_files_and_ignored_files_are_not_the_engine(recorded: Path, file: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("changed\n")
    assert choose_tests(read_template())[0] == "team"


@pytest.mark.parametrize("text", ["", "{}", '{"version": "0.1.0", "engine_hash": null, "team": [], "engines": []}'])
def test_an_invalid_template_json_is_an_input_error(copy: Path, capfd: pytest.CaptureFixture[str], text: str) -> None:
    PATH.write_text(text)
    assert entry.main(["template"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "template.json is invalid" in printed.err
    assert printed.err.splitlines()[-1] == "Restore it: `git checkout HEAD -- template.json`."


def test_every_file_of_the_template_is_in_a_list_of_template_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    template = read_template()
    everything = Template(version="", engine_hash=None, team=(), engine=template.engine + template.team)
    unlisted = [file for file in git("ls-files", "-z").strip("\0").split("\0") if not everything.is_engine(file)]
    # A copy may have files that the template does not know.
    assert unlisted == [] or template.engine_hash is not None


def make_test(repo: Repo, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make test` in a repository, with a Python that runs nothing but the verb `template` and the team's tests."""
    python = folder / "venv/bin/python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        python.chmod(0o755)
        shutil.copy("/bin/true", python.with_name("lint-imports"))
        shutil.copy(repo.path / "requirements/dev.txt", folder / "venv/.mainline-stamp")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTEST_"))}
    env["VENV"] = str(folder / "venv")
    return subprocess.run(["make", "test", *arguments], cwd=repo.path, env=env, capture_output=True, text=True)


def test_make_test_runs_the_teams_tests_in_an_untouched_copy_and_all_in_a_touched_one(
    repo: Repo, tmp_path: Path
) -> None:
    document = json.loads((repo.path / PATH).read_text())
    (repo.path / PATH).write_text(json.dumps(document | {"engine_hash": None}))
    assert repo.verb("template", "--write").code == 0

    untouched = make_test(repo, tmp_path)
    assert untouched.returncode == 0, untouched.stdout + untouched.stderr
    assert "Testing the team's files only" in untouched.stderr
    assert " passed" in untouched.stdout and "ran: -m mypy" not in untouched.stdout

    everything = make_test(repo, tmp_path, "ENGINE=1")
    assert "ran: -m mypy" in everything.stdout and "ran: -m pytest" in everything.stdout

    repo.params(lambda document: document["candidates"].update(forest={"estimator": "no path"}))
    broken = make_test(repo, tmp_path)
    assert broken.returncode != 0 and "candidates.forest.estimator" in broken.stdout

    (repo.path / "pipelines/new.py").write_text("\n")
    touched = make_test(repo, tmp_path)
    assert touched.returncode == 0, touched.stdout + touched.stderr
    assert "the engine differs" in touched.stderr
    assert "ran: -m mypy" in touched.stdout and "ran: -m pytest" in touched.stdout
