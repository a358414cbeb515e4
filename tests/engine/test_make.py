"""The Makefile, run by make with a stand-in for the environment, so that nothing is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.verbs import python_first

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"(?m)^\.PHONY: (\S+)$", MAKEFILE))
REQUIRED = {"review", "test", "data", "predict", "mlflow", "bench", "lint", "fix", "lock", "repro"}
PYTHON = """#!/bin/sh
echo "ran: $*"
env
exit ${STAND_IN_EXIT:-0}
"""


@pytest.fixture
def venv(tmp_path):
    """An environment with a current stamp, whose Python prints its arguments."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    lint_imports = python.with_name("lint-imports")
    lint_imports.write_text('#!/bin/sh\necho "ran: lint-imports" >&2\n')
    lint_imports.chmod(0o755)
    shutil.copy(ROOT / "requirements" / "dev.txt", tmp_path / "venv" / ".mainline-stamp")
    return tmp_path / "venv"


def make(*arguments, folder=ROOT, **changes):
    # ARGS and ENGINE are there if the make that runs these tests got them.
    own = ("MAKE", "MFLAGS", "ARGS", "ENGINE", "VENV", "MAINLINE_CACHE", "PYTHON", "DVC_NO", "ITERATIVE", "DO_NOT")
    env = {key: value for key, value in os.environ.items() if not key.startswith(own)} | changes
    command = [str(shutil.which("make")), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def documented():
    """Return (page, target) of each target in the documentation, in backticks or in a block of code."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = path.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"(?ms)^```.*?^```", text))
        targets = re.findall(r"`make ([a-z][a-z-]*)", text) + re.findall(r"(?m)^(?:\$ )?make ([a-z][a-z-]*)", blocks)
        yield from ((path.name, target) for target in targets)


def test_help_lists_every_target():
    lines = make("help").stdout.splitlines()
    assert {line.split()[1] for line in lines} == TARGETS
    assert all(len(line.split()) > 3 for line in lines)
    assert TARGETS >= REQUIRED


def test_make_without_a_target_prints_the_help():
    assert make().stdout == make("help").stdout


def test_every_documented_target_exists():
    assert [(path, target) for path, target in documented() if target not in TARGETS] == []


def test_every_target_is_documented():
    assert TARGETS - {target for path, target in documented() if path == "commands.md"} == set()


def test_setup_does_nothing_if_the_lock_is_unchanged(venv):
    before = sorted((path, path.lstat().st_mtime_ns) for path in venv.rglob("*"))
    result = make("setup", VENV=str(venv), PATH="/nowhere:/usr/bin:/bin")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert sorted((path, path.lstat().st_mtime_ns) for path in venv.rglob("*")) == before


def test_setup_runs_if_the_lock_changed(venv):
    (venv / ".mainline-stamp").write_text("numpy==1.0\n")
    result = make("setup", VENV=str(venv), PATH="/nowhere")
    assert result.returncode != 0
    assert "there is no Python 3.11 or newer on PATH" in result.stderr


def test_a_missing_python_is_one_error_message(tmp_path):
    result = make("setup", VENV=str(tmp_path / "venv"), PATH="/nowhere")
    assert result.returncode != 0
    errors = result.stderr.splitlines()
    assert "there is no Python 3.11 or newer on PATH. Install one" in errors[0]
    assert len(errors) == 2  # the second line is make's


def test_a_python_that_is_too_old_is_named(tmp_path):
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = make("setup", f"PYTHON={old}", VENV=str(tmp_path / "venv"))
    assert result.returncode != 0
    assert f"PYTHON={old} is not Python 3.11 or newer" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (["review"], "-P -m pipelines review"),
        (["review", "BASE=v1.2"], "-P -m pipelines review --base v1.2"),
        (["data"], "-P -m pipelines data"),
        (["predict", "IN=a b.csv", "OUT=s3://bucket/out"], "-P -m pipelines predict a b.csv s3://bucket/out"),
        (["bench"], "-m bench"),
        (["repro"], "-P -m pipelines repro"),
        (["hooks"], "-m pre_commit install"),
        (["audit"], "-P -m pipelines audit"),
        (["audit", "ISSUE=1"], "-P -m pipelines audit --issue"),
        (["github-setup"], "-P -m pipelines github-setup"),
        (["github-setup", "DRY_RUN=1"], "-P -m pipelines github-setup --dry-run"),
    ],
)
def test_a_target_runs_its_verb(venv, arguments, ran):
    result = make(*arguments, VENV=str(venv))
    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == f"ran: {ran}"


def test_make_fails_and_prints_the_exit_code_if_a_verb_fails(venv):
    result = make("review", VENV=str(venv), STAND_IN_EXIT="1")
    assert result.returncode == 2
    assert "review] Error 1" in result.stderr


def test_no_test_runs_if_lint_fails(venv):
    result = make("test", VENV=str(venv), STAND_IN_EXIT="1")
    assert result.returncode != 0
    assert "ran: -m ruff" in result.stdout
    assert "ran: -m pytest" not in result.stdout


@pytest.mark.parametrize(("target", "tests"), [("test", ["pytest -n"]), ("test-all", ["pre_commit run", "pytest -n"])])
def test_make_test_runs_lint_and_then_the_tests(venv, target, tests):
    done = make(target, VENV=str(venv))
    ran = re.findall(r"(?m)^ran: (?:-P )?-m (\S+ ?\S*)", done.stdout)
    lint = ["ruff check", "ruff format", "mypy --num-workers", "pipelines schema"]
    assert ran == [*lint, "tests.engine.workflows.install", "tests.engine.workflows.lint", *tests]
    assert "ran: lint-imports" in done.stderr


def test_make_test_release_runs_every_test_with_the_marker_engine(venv):
    ran = re.findall(r"(?m)^ran: -m (.*)", make("test-release", "WORKERS=1", VENV=str(venv)).stdout)
    assert ran == ["tests.engine.workflows.install", "pytest -n 1 --dist loadgroup -m engine"]


def test_usage_reports_are_turned_off_and_the_environment_is_first_on_the_path(venv):
    lines = set(make("review", VENV=str(venv)).stdout.splitlines())
    assert {"DVC_NO_ANALYTICS=1", "ITERATIVE_DO_NOT_TRACK=1", "DO_NOT_TRACK=true"} <= lines
    assert {"MLFLOW_DISABLE_TELEMETRY=true", "BENTOML_DO_NOT_TRACK=True", "ORT_DISABLE_TELEMETRY=1"} <= lines
    assert any(line.startswith(f"PATH={venv}/bin:") for line in lines)


@pytest.fixture
def planted(tmp_path):
    """A repository in whose root somebody put files with the names of libraries."""
    for name in ("pipelines", "requirements", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("argparse.py", "yaml.py"):
        (tmp_path / name).write_text("raise SystemExit('planted')\n")
    return tmp_path


def test_a_file_in_the_root_does_not_replace_a_library_of_a_verb(planted):
    environment = planted / "venv"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(ROOT / "requirements" / "dev.txt", environment / ".mainline-stamp")
    result = make("push", folder=planted, VENV=str(environment))
    assert "planted" not in result.stderr
    assert "no DVC remote is set" in result.stderr


def test_every_verb_is_started_so_that_a_file_in_the_root_replaces_no_library():
    assert re.findall(r"(?m)^\t.*-m pipelines.*|^\t.*\$\(run\) pipelines.*", MAKEFILE) == []


def test_a_file_in_the_root_does_not_replace_a_library_of_a_stage(planted):
    code = "import argparse, yaml, pipelines.cli.verbs; print(yaml.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=planted, env=python_first(), capture_output=True, text=True)
    assert done.stdout.startswith(sys.prefix), done.stderr


def test_make_predict_without_out_names_the_variables(venv):
    result = make("predict", "IN=a.csv", VENV=str(venv))
    assert result.returncode != 0
    assert "predict takes IN=table OUT=table" in result.stderr
