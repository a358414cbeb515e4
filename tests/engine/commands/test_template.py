"""The verb `template`: a copy with an unchanged engine tests only the team's files. Needs git."""

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

# Runs the verb `template` and the team's tests, and prints every other command instead of running it.
PYTHON = f"""#!/bin/sh
case "$*" in
  "-P -m pipelines template"*) exec {sys.executable} "$@" ;;
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


def test_the_template_itself_runs_all_tests(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["template"]) == 0
    printed = capfd.readouterr()
    assert printed.out == "engine\n"
    assert "template.json records no engine" in printed.err and printed.err.count("\n") == 1


def test_a_copy_with_an_unchanged_engine_runs_the_teams_tests(
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
def test_a_copy_with_a_changed_or_new_engine_file_runs_all_tests(recorded: Path, file: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("changed\n")
    assert choose_tests(read_template())[0] == "engine"
    assert entry.main(["template", "--write"]) == 0
    assert choose_tests(read_template())[0] == "team"


def test_a_copy_with_a_removed_engine_file_runs_all_tests(recorded: Path) -> None:
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
def test_a_copy_with_changes_of_the_team_runs_the_teams_tests(recorded: Path, file: str) -> None:
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
    """Run `make test` in a repository, with a Python that runs only the verb `template` and the team's tests."""
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


def test_make_test_runs_all_tests_only_if_the_engine_changed(repo: Repo, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests/engine", repo.path / "tests/engine")
    document = json.loads((repo.path / PATH).read_text())
    (repo.path / PATH).write_text(json.dumps(document | {"engine_hash": None}))
    assert repo.verb("template", "--write").code == 0

    unchanged = make_test(repo, tmp_path)
    assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
    assert "Testing the team's files only" in unchanged.stderr
    assert " passed" in unchanged.stdout and "ran: -m mypy" not in unchanged.stdout

    everything = make_test(repo, tmp_path, "ENGINE=1")
    assert "ran: -m mypy" in everything.stdout and "ran: -m pytest" in everything.stdout

    repo.params(lambda document: document["candidates"].update(forest={"estimator": "no path"}))
    broken = make_test(repo, tmp_path)
    assert broken.returncode != 0 and "candidates.forest.estimator" in broken.stdout

    (repo.path / "pipelines/new.py").write_text("\n")
    changed = make_test(repo, tmp_path)
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert "the engine differs" in changed.stderr
    assert "ran: -m mypy" in changed.stdout and "ran: -m pytest" in changed.stdout
