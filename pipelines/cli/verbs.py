"""Start another verb as a process of its own: verbs never import each other."""

import os
import subprocess
import sys
from pathlib import Path


def run_verb(
    verb: str, *arguments: str, cwd: Path | None = None, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipelines VERB`; its exit code is one of docs/commands.md.

    Args:
        cwd: the root of the repository whose code and files it uses; by default this one.
        capture: return what it prints instead of printing it.
    """
    command, nothing = [sys.executable, "-m", "pipelines", verb, *arguments], subprocess.DEVNULL
    return subprocess.run(command, cwd=cwd, env=python_first(), stdin=nothing, capture_output=capture, text=True)


def run_stage(stage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a stage of dvc.yaml by this repository's code in a folder with a params.yaml, and capture what it prints."""
    command, nothing = [sys.executable, "-m", f"pipelines.training.{stage}"], subprocess.DEVNULL
    return subprocess.run(command, cwd=folder, env=python_first(), stdin=nothing, capture_output=True, text=True)


def start_verb(verb: str, *arguments: str, log: Path) -> None:
    """Start `python -m pipelines VERB` in the background, where it outlives this process; it prints into `log`."""
    command = [sys.executable, "-m", "pipelines", verb, *arguments]
    # A runner of GitHub ends the processes of a job that have its id.
    environment = {**python_first(), "RUNNER_TRACKING_ID": ""}
    with log.open("a", encoding="utf-8") as output:
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def python_first() -> dict[str, str]:
    """Return this process's environment with this interpreter first on PATH, where DVC's stages find it as `python`.

    The folder in which the process runs is searched for modules after the libraries.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # See safe_path/sitecustomize.py.
    safe_path = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path(__file__).resolve().parent / "safe_path")}
    quiet = {"PYTHONUNBUFFERED": "1", "COLUMNS": "200", "OMP_NUM_THREADS": fit_threads()}
    # Waiting threads of OpenMP spin otherwise: on a busy machine a fit with two threads took several times as long.
    return {"OMP_WAIT_POLICY": "passive", **os.environ, **safe_path, **quiet, "PATH": path}


def fit_threads() -> str:
    """Return the number of threads that fit a model: half the cores unless OMP_NUM_THREADS is set.

    OpenMP's threads spin while they wait for each other, so on a busy machine a fit on all cores took up to ten times
    as long.
    """
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 2) // 2))
