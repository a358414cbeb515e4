"""Verbs in this process rather than one of their own: each of those costs seconds of imports.

`verb` runs one verb; what it starts (other verbs, DVC, the stages) runs as it does for a user. In `stages_in_process`,
and in `review` and `reproduce`, those run in this process too. An error that no verb means to end with gives code 70
and a traceback in what is printed.
"""

import io
import logging
import os
import shlex
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from pipelines.__main__ import main
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.repository.dvc_lock import prune
from pipelines.reproduce import dvc_repro
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
    """`python -m pipelines review --base ...`, with the stages in this process."""
    with stages_in_process("review.flow", "repository.base_model"):
        return verb(repo, "review", "--base", base, *options, **environment)


def must(done: CommandResult, code: int = 0) -> CommandResult:
    """The same, after a look at its exit code."""
    assert done.code == code, done.out
    return done


def reproduce(repo: Repo) -> None:
    """What `dvc repro` makes and records, with the stages in this process."""
    out = io.StringIO()
    with (
        chdir(repo.path),
        mock.patch.dict(os.environ, quiet_environment()),
        redirect_stdout(out),
        redirect_stderr(out),
        stages_in_process(),
    ):
        prune(load().candidates)
        dvc_repro.run_stages(Progress())


@contextmanager
def stages_in_process(*modules: str) -> Iterator[None]:
    """Run `dvc repro` and its stages in this process, and the verbs that modules of pipelines/ start."""
    with mock.patch.object(dvc_repro, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": DvcRepro})):
        patches = [mock.patch(f"pipelines.{module}.run_verb", run_verb) for module in modules]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


def run_verb(
    name: str, *arguments: str, cwd: Path | None = None, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """`pipelines.cli.verbs.run_verb`, without a process."""
    out = io.StringIO()
    with chdir(cwd or Path()), redirect_stdout(out), redirect_stderr(out):
        code = main([name, *arguments])
    if not capture:
        print(out.getvalue())
    return subprocess.CompletedProcess([], code, out.getvalue(), "")


class DvcRepro:
    """The process of a `dvc repro`, without one: what it prints, and its exit code."""

    def __init__(self, command: list[str], **_: Any) -> None:
        from dvc.repo import Repo as Dvc

        self.lines: list[str] = []
        self.code = 0
        targets = [word for word in command[command.index("repro") + 1 :] if not word.startswith("-")]
        options = {"force": "--force" in command, "run_cache": "--no-run-cache" not in command}
        patches = mock.patch("dvc.stage.run._run", self._run_stage), mock.patch("dvc.dvcfile.modify_yaml", _modify_yaml)
        with patches[0], patches[1], self._log():
            try:
                with Dvc() as dvc:
                    dvc.reproduce(targets or None, pull="--pull" in command, **options)
            except Exception as error:  # as the command does
                self._add(f"ERROR: {': '.join(_causes(error))}")
                self.code = 255
        self.stdout = iter(self.lines)

    def wait(self) -> int:
        """Return the exit code."""
        return self.code

    def terminate(self) -> None:
        """Do nothing: it has ended."""

    def _add(self, text: str) -> None:
        self.lines += [f"{line}\n" for line in text.split("\n")]

    def _run_stage(self, _: object, command: str, cwd: str, **__: Any) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        python, option, module, *arguments = shlex.split(command)
        assert (python, option) == ("python", "-m")
        out = io.StringIO()
        with (
            chdir(cwd),
            redirect_stdout(out),
            redirect_stderr(out),
            mock.patch.object(sys, "argv", [module, *arguments]),
        ):
            code = end_with_code(import_module(module).main)
        self._add(out.getvalue().rstrip("\n"))
        if code:
            raise StageCmdFailedError(command, code)

    @contextmanager
    def _log(self) -> Iterator[None]:
        """Take what DVC logs, which is what its command prints."""
        logger, handler = logging.getLogger("dvc"), logging.Handler(logging.INFO)
        with (
            mock.patch.object(handler, "emit", lambda record: self._add(record.getMessage())),
            mock.patch.object(logger, "handlers", [handler]),
            mock.patch.object(logger, "propagate", False),
        ):
            yield


@contextmanager
def _modify_yaml(path: str, fs: object = None) -> Iterator[dict[str, Any]]:
    """Read and rewrite dvc.lock in C: DVC, which keeps comments, takes 0.4 s a stage for the same file."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment, unused-ignore]
    yaml.Representer.add_representer(OrderedDict, yaml.Representer.represent_dict)
    file = Path(path)
    document = yaml.load(file) if file.exists() else {}
    yield document
    yaml.dump(document, file)


def _causes(error: BaseException | None) -> Iterator[str]:
    while error:
        yield str(error)
        error = error.__cause__
