"""Verbs in this process rather than one of their own: each of those costs seconds of imports.

What a verb starts (DVC, its stages, git) still runs as it does for a user. An error that no verb means to end with
gives code 70 and a traceback in what is printed.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from unittest import mock

import yaml

from pipelines.__main__ import main
from pipelines.config.params import load
from pipelines.reproduce.flow import prune
from tests.engine.fixtures_repo import CommandResult, Repo, quiet_environment


def verb(where: Repo | Path, *arguments: str, **environment: str) -> CommandResult:
    """`python -m pipelines ...` in a clone, with its exit code and all that it printed."""
    folder = where if isinstance(where, Path) else where.path
    out = io.StringIO()
    with (
        chdir(folder),
        mock.patch.dict(os.environ, {**quiet_environment(), **environment}),
        redirect_stdout(out),
        redirect_stderr(out),
    ):
        code = main(list(arguments))
    return CommandResult(code, out.getvalue())


def review(repo: Repo, base: str = "main", *options: str, **environment: str) -> CommandResult:
    """`python -m pipelines review --base ...`."""
    return verb(repo, "review", "--base", base, *options, **environment)


def must(done: CommandResult, code: int = 0) -> CommandResult:
    """The same, after a look at its exit code."""
    assert done.code == code, done.out
    return done


def reproduce(repo: Repo) -> None:
    """What `dvc repro` makes and records, with every stage in this process; DVC would start a Python for each."""
    from dvc.repo import Repo as Dvc

    stages = yaml.safe_load((repo.path / "dvc.yaml").read_text())["stages"]
    with chdir(repo.path), mock.patch.dict(os.environ, quiet_environment()), redirect_stdout(io.StringIO()):
        params = load()
        prune(params)
        for name, stage in stages.items():
            for candidate in params.candidates if "matrix" in stage else [""]:
                with mock.patch.object(sys, "argv", [name, candidate]):
                    import_module(f"pipelines.training.{name}").main()
        with Dvc() as dvc:
            dvc.commit("dvc.yaml", force=True)
