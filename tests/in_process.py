"""Verbs in this process rather than one of their own: each of those costs seconds of imports.

What a verb starts (DVC, its stages, git) still runs as it does for a user. An error that no verb means to end with
gives code 70 and a traceback in what is printed.
"""

from __future__ import annotations

import io
import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from pipelines.__main__ import main
from tests.fixtures_repo import Done, Repo, quiet


def verb(where: Repo | Path, *arguments: str, **environment: str) -> Done:
    """`python -m pipelines ...` in a clone, with its exit code and all that it printed."""
    folder = where if isinstance(where, Path) else where.path
    out = io.StringIO()
    with (
        chdir(folder),
        mock.patch.dict(os.environ, {**quiet(), **environment}),
        redirect_stdout(out),
        redirect_stderr(out),
    ):
        code = main(list(arguments))
    return Done(code, out.getvalue())


def review(repo: Repo, base: str = "main", *options: str, **environment: str) -> Done:
    """`python -m pipelines review --base ...`."""
    return verb(repo, "review", "--base", base, *options, **environment)


def must(done: Done, code: int = 0) -> Done:
    """The same, after a look at its exit code."""
    assert done.code == code, done.out
    return done
