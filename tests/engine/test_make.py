"""The Makefile is run by the real make; the environment is a stand-in, so that nothing is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"(?m)^\.PHONY: (\S+)$", MAKEFILE))
ASKED_FOR = {"review", "test", "data", "predict", "mlflow", "bench", "lint", "fix", "lock", "repro"}
PYTHON = """#!/bin/sh
echo "ran: $*"
env
exit ${STAND_IN_EXIT:-0}
"""


@pytest.fixture
def venv(tmp_path):
    """An environment that is current by its stamp; its Python prints how it was called."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    lint_imports = python.with_name("lint-imports")
    lint_imports.write_text('#!/bin/sh\necho "ran: lint-imports" >&2\n')
    lint_imports.chmod(0o755)
    shutil.copy(ROOT / "requirements" / "dev.txt", tmp_path / "venv" / ".mainline-stamp")
    return tmp_path / "venv"


def make(*arguments, **changes):
    own = ("MAKE", "MFLAGS", "VENV", "MAINLINE_CACHE", "PYTHON", "DVC_NO", "ITERATIVE", "DO_NOT_TRACK")
    env = {key: value for key, value in os.environ.items() if not key.startswith(own)} | changes
    command = [str(shutil.which("make")), *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def documented():
    """Targets named in the documentation, in backticks or in a block of code."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = path.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"(?ms)^```.*?^```", text))
        found = re.findall(r"`make ([a-z][a-z-]*)", text) + re.findall(r"(?m)^(?:\$ )?make ([a-z][a-z-]*)", blocks)
        yield from ((path.name, target) for target in found)


def test_help_gives_every_target_a_line():
    lines = make("help").stdout.splitlines()
    assert {line.split()[1] for line in lines} == TARGETS
    assert all(len(line.split()) > 3 for line in lines)
    assert TARGETS >= ASKED_FOR


def test_make_alone_is_help():
    assert make().stdout == make("help").stdout


def test_every_documented_target_exists():
    assert [(path, target) for path, target in documented() if target not in TARGETS] == []


def test_every_target_is_documented():
    assert TARGETS - {target for path, target in documented() if path == "commands.md"} == set()


def test_nothing_is_installed_when_nothing_changed(venv):
    before = sorted((path, path.lstat().st_mtime_ns) for path in venv.rglob("*"))
    answer = make("setup", VENV=str(venv), PATH="/nowhere:/usr/bin:/bin")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert sorted((path, path.lstat().st_mtime_ns) for path in venv.rglob("*")) == before


def test_another_lock_is_noticed(venv):
    (venv / ".mainline-stamp").write_text("numpy==1.0\n")
    answer = make("setup", VENV=str(venv), PATH="/nowhere")
    assert answer.returncode != 0
    assert "there is no Python 3.11 or newer on PATH" in answer.stderr


def test_no_python_is_one_clear_error(tmp_path):
    answer = make("setup", VENV=str(tmp_path / "venv"), PATH="/nowhere")
    assert answer.returncode != 0
    said = answer.stderr.splitlines()
    assert "there is no Python 3.11 or newer on PATH. Install one" in said[0]
    assert len(said) == 2  # the other one is make's own


def test_a_python_that_is_too_old_is_named(tmp_path):
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = make("setup", f"PYTHON={old}", VENV=str(tmp_path / "venv"))
    assert answer.returncode != 0
    assert f"PYTHON={old} is not Python 3.11 or newer" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (["review"], "-m pipelines review"),
        (["review", "BASE=v1.2"], "-m pipelines review --base v1.2"),
        (["data"], "-m pipelines data"),
        (["predict", "IN=a b.csv", "OUT=s3://bucket/out"], "-m pipelines predict a b.csv s3://bucket/out"),
        (["bench"], "-m bench"),
        (["repro"], "-m pipelines repro"),
        (["hooks"], "-m pre_commit install"),
        (["audit"], "-m pipelines audit"),
        (["audit", "ISSUE=1"], "-m pipelines audit --issue"),
        (["github-setup"], "-m pipelines github-setup"),
        (["github-setup", "DRY_RUN=1"], "-m pipelines github-setup --dry-run"),
    ],
)
def test_a_target_runs_its_verb(venv, arguments, ran):
    answer = make(*arguments, VENV=str(venv))
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[0] == f"ran: {ran}"


def test_a_verb_that_fails_makes_make_fail_and_shows_its_exit_code(venv):
    answer = make("review", VENV=str(venv), STAND_IN_EXIT="1")
    assert answer.returncode == 2
    assert "review] Error 1" in answer.stderr


def test_lint_stops_test(venv):
    answer = make("test", VENV=str(venv), STAND_IN_EXIT="1")
    assert answer.returncode != 0
    assert "ran: -m ruff" in answer.stdout
    assert "ran: -m pytest" not in answer.stdout


@pytest.mark.parametrize(("target", "tests"), [("test", ["pytest -n"]), ("test-all", ["pre_commit run", "pytest -n"])])
def test_test_runs_style_types_schema_and_then_the_tests(venv, target, tests):
    done = make(target, VENV=str(venv))
    ran = re.findall(r"(?m)^ran: -m (\S+ ?\S*)", done.stdout)
    lint = ["ruff check", "ruff format", "mypy --num-workers", "pipelines schema"]
    assert ran == [*lint, "tests.engine.workflows.install", "tests.engine.workflows.lint", *tests]
    assert "ran: lint-imports" in done.stderr


def test_test_release_runs_every_test_that_needs_an_engine_wherever_it_is(venv):
    ran = re.findall(r"(?m)^ran: -m (.*)", make("test-release", "WORKERS=1", VENV=str(venv)).stdout)
    assert ran == ["tests.engine.workflows.install", "pytest -n 1 --dist loadgroup -m engine"]


def test_nothing_is_reported_to_anybody_and_the_environment_is_first_on_the_path(venv):
    said = set(make("review", VENV=str(venv)).stdout.splitlines())
    assert {"DVC_NO_ANALYTICS=1", "ITERATIVE_DO_NOT_TRACK=1", "DO_NOT_TRACK=true"} <= said
    assert {"MLFLOW_DISABLE_TELEMETRY=true", "BENTOML_DO_NOT_TRACK=True", "ORT_DISABLE_TELEMETRY=1"} <= said
    assert any(line.startswith(f"PATH={venv}/bin:") for line in said)


def test_predict_says_what_it_needs(venv):
    answer = make("predict", "IN=a.csv", VENV=str(venv))
    assert answer.returncode != 0
    assert "predict takes IN=table OUT=table" in answer.stderr
