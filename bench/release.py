"""The image of a release: its size, its start, and the seconds until a revert is live. Needs Docker and a registry."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench import tutorial
from bench.problem import Problem, must, threads
from bench.results import Result
from bench.timing import RUNS, Show
from pipelines.deployment.service_client import get_info, running
from testing.docker import docker, free_port, missing_tools, registry, remove_containers, stand_in
from testing.repository import ROOT, Repo, merge

NAMES = (
    "image on disk, without its base",
    "container start to ready",
    "revert on main until the old model answers",
    "a row through the front, 32 connections",
)
CYCLES = 3
CONNECTIONS, LOAD_SECONDS = 32, 4
_QUICKSTART = Path(__file__).parent / "subjects/bento_quickstart.py"


def measure(problem: Problem, show: Show) -> list[Result]:
    """Release the default problem, a change of it, and the revert of that, several times; start two images in turns."""
    if missing := missing_tools():
        show(f"release: not measured, {missing}")
        return []
    folder = problem.folder / "release"
    folder.mkdir()
    with registry(folder) as hub:
        base = stand_in(hub)
        repo = _repository(problem, base, folder)
        port = free_port()
        environment = {
            "IMAGE_REPOSITORY": f"{hub.host}/bench",
            "SERVICE_URL": f"http://127.0.0.1:{port}",
            "OPERATIONS_URL": f"http://127.0.0.1:{free_port()}",
            "XDG_STATE_HOME": str(folder / "state"),
            "PREDICTION_LOG": "off",
            "GITHUB_TOKEN": "",
        }
        try:
            show("Releasing the default problem")
            must(repo.verb("release", "run", **environment))
            image = json.loads(must(repo.verb("release", "status", "--json")).out)[0]["image"]
            size = (_size(image) - _size(base)) / 1e6
            through, directly = _milliseconds(f"bench-{os.getpid()}", environment, folder, show)
            trained, reverted = _cycles(repo, environment, show)
            starts = _starts(image, _quickstart(problem, base, folder, show), show)
        finally:
            remove_containers(f"bench-{os.getpid()}")
    return [
        Result(
            NAMES[0], size, "MB", "value <= 225", note="with the base of params.yaml, of about 125 MB, under 350 MB"
        ),
        Result(NAMES[1], starts["ours"], "s", "ratio >= 2", {"BentoML's quick start": starts["quick start"]}),
        Result(NAMES[2], reverted, "s", "ratio >= 15", {"a release that trains and builds": trained}),
        # At least 0.9 of the requests a second.
        Result(NAMES[3], through, "ms", "ratio <= 1.11", {"a replica without it": directly}),
    ]


def _repository(problem: Problem, base: str, folder: Path) -> Repo:
    """Return a clone on main with a bare origin, its own model name, and the stand-in as base image.

    The service runs on this host, where a version stays started until the next but one.
    """
    origin = folder / "origin.git"
    repo = problem.clone(problem.default, "released")
    repo.git("clone", "--quiet", "--bare", str(problem.default.path), str(origin))
    repo.git("remote", "set-url", "origin", str(origin))
    repo.git("checkout", "--quiet", "-B", "main")
    serving = {"base_image": base, "front_image": base, "replicas": 1, "keep_previous": True, "deploy": None}
    changes = {"model_name": f"bench-{os.getpid()}", "serving": serving}
    repo.params(lambda document: merge(document, changes))
    must(repo.verb("repro", **threads()))
    _push(repo, "Use another model name")
    return repo


def _push(repo: Repo, message: str) -> None:
    repo.commit(message)
    repo.git("push", "--quiet", "--force", "origin", "main")


def _cycles(repo: Repo, environment: dict[str, str], show: Show) -> tuple[float, float]:
    """Return the median seconds until production serves a trained change, and until it serves the revert.

    The change is of the split, so that all stages run again, as after new rows. The image layer with the packages
    exists from the release before, as on a runner with a cache.
    """
    trained, reverted = [], []
    first = _answer(environment)
    for cycle in range(CYCLES):
        show(f"Releasing a change and its revert, {cycle + 1} of {CYCLES}")
        started = time.monotonic()
        _validate_on(repo, cycle + 1)
        must(repo.verb("repro", **threads()))
        _push(repo, "Validate on another day")
        trained.append(_until(repo, environment, started, lambda release: release not in (first, None)))
        repo.git("revert", "--no-edit", "HEAD")
        repo.git("push", "--quiet", "origin", "main")
        reverted.append(_until(repo, environment, time.monotonic(), lambda release: release == first))
    return median(trained), median(reverted)


def _validate_on(repo: Repo, more_days: int) -> None:
    repo.params(
        lambda document: document["split"].update(validation_days=document["split"]["validation_days"] + more_days)
    )


def _until(repo: Repo, environment: dict[str, str], started: float, is_it: Callable[[str | None], bool]) -> float:
    """Release main's head; return the seconds from `started` until `is_it` is true of the release in production."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(repo.verb, "release", "run", **environment)
        while not is_it(_answer(environment)):
            if done.done():
                must(done.result())
                raise RuntimeError(f"production does not serve the expected release:\n{done.result().out}")
            time.sleep(0.02)
        seconds = time.monotonic() - started
        must(done.result())
    return seconds


def _answer(environment: dict[str, str]) -> str | None:
    """Return the release that production serves, or None."""
    return running(environment["SERVICE_URL"])


def _milliseconds(model_name: str, environment: dict[str, str], folder: Path, show: Show) -> tuple[float, float]:
    """Return the median milliseconds of a row through the front and to its only replica, in turns.

    Both are asked at their own addresses, as by a client elsewhere: on loopback Docker would copy each byte once more.
    """
    body = folder / "row.json"
    body.write_text(json.dumps(get_info(environment["SERVICE_URL"])["signature"]["example"]))
    (replica,) = docker("ps", "--format={{.Names}}", f"--filter=label=mainline.model={model_name}").split()
    targets = ((f"{model_name}-front", "8080"), (replica, "3000"))
    times: dict[str, list[float]] = {name: [] for name, _ in targets}
    for run in range(RUNS):
        show(f"Loading the front and its replica, {run + 1} of {RUNS}")
        for name, port in targets:
            address = docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
            load = (address, port, "/predict", str(body), str(CONNECTIONS), str(LOAD_SECONDS))
            done = subprocess.run([sys.executable, "-m", "bench.load", *load], cwd=ROOT, capture_output=True, text=True)
            if done.returncode or (figures := json.loads(done.stdout))["bad"]:
                raise RuntimeError(f"{name} did not answer each request with 200:\n{done.stdout}{done.stderr}")
            times[name].append(1e3 / figures["rate"])
    through, directly = (median(values) for values in times.values())
    return through, directly


def _quickstart(problem: Problem, base: str, folder: Path, show: Show) -> str:
    """Build BentoML's image of the same model in scikit-learn, as its quick start does; return its name."""
    import cloudpickle  # type: ignore[import-untyped]

    show("Building BentoML's quick start")
    context, store, temporary = folder / "quickstart", folder / "store", folder / "tmp"
    for path in (context, store, temporary):
        path.mkdir()
    shutil.copy(_QUICKSTART, context / "service.py")
    cloudpickle.register_pickle_by_value(tutorial)
    pipeline = tutorial.fitted(problem.default.path, show)
    (context / "pipeline.pkl").write_bytes(cloudpickle.dumps(pipeline))
    import sklearn

    (context / "bentofile.yaml").write_text(
        json.dumps(
            {
                "service": "service:Quickstart",
                "include": ["service.py", "pipeline.pkl"],
                "docker": {"base_image": base},
                "python": {
                    "packages": [f"scikit-learn=={sklearn.__version__}", "pandas<3", "numpy", "cloudpickle"],
                    "lock_packages": False,
                },
            }
        )
    )
    environment = {**os.environ, "BENTOML_HOME": str(store), "TMPDIR": str(temporary), "BENTOML_DO_NOT_TRACK": "True"}
    tag = f"bench-{os.getpid()}:quickstart"
    for command in (["build", "--version", "1", "--name", "quickstart"], ["containerize", "quickstart:1", "-t", tag]):
        done = subprocess.run(
            [sys.executable, "-m", "bentoml", *command], cwd=context, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"bentoml {command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return tag


def _starts(ours: str, quickstart: str, show: Show) -> dict[str, float]:
    """Return the median seconds from `docker run` until /readyz responds, of both images in turns."""
    hardened = ["--read-only", "--tmpfs=/tmp", "--env=PREDICTION_LOG=off"]
    pickled = ["--env=BENCH_PIPELINE=/home/bentoml/bento/src/pipeline.pkl", "--env=BENCH_TIMES="]
    seconds: dict[str, list[float]] = {"ours": [], "quick start": []}
    for run in range(RUNS):
        show(f"Starting containers, {run + 1} of {RUNS}")
        seconds["ours"].append(_start(ours, *hardened))
        seconds["quick start"].append(_start(quickstart, *pickled))
    return {name: median(values) for name, values in seconds.items()}


def _start(image: str, *options: str) -> float:
    started = time.monotonic()
    container = docker("run", "--detach", "--publish=127.0.0.1::3000", *options, image)
    try:
        url = f"http://{docker('port', container, '3000/tcp').splitlines()[0]}/readyz"
        while time.monotonic() < started + 120:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                return time.monotonic() - started
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise RuntimeError(f"{image} does not start: {docker('logs', container)}")
    finally:
        docker("rm", "--force", container)


def _size(image: str) -> int:
    """Return the size of an unpacked image in bytes."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))
