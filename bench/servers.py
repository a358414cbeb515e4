"""The servers that `serve.py` compares: each is a process, and answers with the same model."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import vectors
from testing.docker import free_port
from testing.repository import quiet_environment

ROOT = Path(__file__).parents[1]
EXACT, ALIKE = 1e-6, 2e-2  # tolerance of the same graph, and of scikit-learn, whose thresholds are not float32
READY_SECONDS = 90.0
OURS, WITHOUT_LOG, BARE = "serving", "serving without its log", "bare ASGI handler"
BY_HAND, VECTOR = "FastAPI + ONNX Runtime, raw fields", "FastAPI + ONNX Runtime, vector of features"
TUTORIAL, MLFLOW, BENTO = "FastAPI + scikit-learn", "mlflow models serve", "BentoML"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """A server.

    Attributes:
        command: starts the server; `{port}` is replaced.
        body: from a row of JSON to the request's body.
        probability: from the response's JSON to the probability.
        tolerance: by which the probability may differ from the scorer's.
    """

    name: str
    command: Sequence[str]
    tolerance: float
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    body: Callable[[Row], Any] = dict
    probability: Callable[[Any], float] = lambda answer: answer["probability"]


@dataclass(frozen=True)
class Server:
    """A running server."""

    subject: Subject
    port: int
    folder: Path

    def ask(self, path: str, content: bytes | None) -> bytes:
        """Return the response; raises for any status but 200."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as response:
            if response.status != 200:
                raise RuntimeError(f"{self.subject.name} answered {response.status}")
            return bytes(response.read())

    def content(self, row: Row) -> bytes:
        """Return the request body of a row."""
        return json.dumps(self.subject.body(row)).encode()

    def score(self, row: Row) -> float:
        """Return its probability for a row."""
        return self.subject.probability(json.loads(self.ask(self.subject.path, self.content(row))))

    def load(self, content: bytes, connections: int, seconds: float, path: str | None = None) -> dict[str, float]:
        """Load it with a client in a process of its own.

        Raises:
            RuntimeError: if a response was not 200.
        """
        file = self.folder / f"body-{self.port}.json"
        file.write_bytes(content)
        arguments = ["127.0.0.1", str(self.port), path or self.subject.path, str(file), str(connections), str(seconds)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60 + seconds,
        )
        if done.returncode or (figures := json.loads(done.stdout))["bad"]:
            raise RuntimeError(f"{self.subject.name} did not answer each request with 200:\n{done.stdout}{done.stderr}")
        return {key: float(value) for key, value in figures.items()}


def subjects_of(models: Path, serving_json: Path, pipeline: Path, mlflow_model: Path, folder: Path) -> list[Subject]:
    """Return all servers of the model in `models` and of scikit-learn's pipeline.

    Args:
        pipeline: pickled.
        mlflow_model: the same one, as `save_for_mlflow` writes it.
        folder: for the prediction log, the model of vectors and what BentoML keeps.
    """
    signature = json.loads((models / "signature.json").read_text(encoding="utf-8"))
    types = {item["name"]: item["type"] for item in signature["inputs"]}

    def typed(row: Row) -> dict[str, Any]:
        """Convert a row to the types of the DataFrame: booleans are floats, times have no zone."""
        convert: dict[str, Callable[[Any], Any]] = {
            "boolean": float,
            "timestamp": lambda text: text.removesuffix("Z"),
        }
        return {
            name: value if value is None or types[name] not in convert else convert[types[name]](value)
            for name, value in row.items()
        }

    files = {"BENCH_MODELS": str(models), "BENCH_PIPELINE": str(pipeline)}
    times = {"BENCH_TIMES": " ".join(name for name, kind in types.items() if kind == "timestamp")}
    python = [sys.executable, "-m"]
    uvicorn = ["--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--log-level", "warning"]
    ours = {
        "MODEL_FOLDER": str(models),
        "SERVING_JSON": str(serving_json),
        "PREDICTION_LOG": str(folder / "predictions"),
        "DRAIN_SECONDS": "0",
        "HOST": "127.0.0.1",
        "PORT": "{port}",
    }
    mlflow = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", "{port}"]
    return [
        Subject(OURS, [*python, "serving"], EXACT, ours),
        Subject(WITHOUT_LOG, [*python, "serving"], EXACT, {**ours, "PREDICTION_LOG": "off"}),
        Subject(BY_HAND, [*python, "uvicorn", "bench.subjects.fastapi_onnx:app", *uvicorn], EXACT, files),
        Subject(
            VECTOR,
            [*python, "uvicorn", "bench.subjects.fastapi_vector:app", *uvicorn],
            EXACT,
            {**files, "BENCH_VECTOR": str(folder / "vector.onnx")},
            body=vectors.cut(models, folder / "vector.onnx"),
        ),
        Subject(TUTORIAL, [*python, "uvicorn", "bench.subjects.fastapi_sklearn:app", *uvicorn], ALIKE, files),
        Subject(
            MLFLOW,
            [*python, "mlflow", "models", "serve", "--model-uri", str(mlflow_model), *mlflow],
            ALIKE,
            {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            path="/invocations",
            body=lambda row: {"dataframe_records": [typed(row)]},
            probability=lambda answer: answer["predictions"][0][1],
        ),
        Subject(
            BENTO,
            [
                *python,
                "bentoml",
                "serve",
                "bench.subjects.bento_quickstart:Quickstart",
                "--host",
                "127.0.0.1",
                "--port",
                "{port}",
            ],
            ALIKE,
            {**files, **times, "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"},
            body=lambda row: {"row": typed(row)},
        ),
        Subject(BARE, [*python, "uvicorn", "bench.subjects.bare:app", *uvicorn], EXACT, files),
    ]


@contextmanager
def running(subjects: Sequence[Subject], folder: Path, row: Row) -> Iterator[dict[str, Server]]:
    """Start the servers together, wait until each has answered the row, and end them in any case."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_started(subject, folder)) for subject in subjects]
        for server, process, output in servers:
            _wait(server, process, output, row)
        yield {server.subject.name: server for server, _, _ in servers}


@contextmanager
def _started(subject: Subject, folder: Path) -> Iterator[tuple[Server, subprocess.Popen[bytes], Path]]:
    port = free_port()
    own = {name: value.replace("{port}", str(port)) for name, value in subject.environment.items()}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {
        **os.environ,
        **quiet_environment(),
        "OMP_NUM_THREADS": "1",
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        **own,
    }
    output = folder / f"{port}.out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in subject.command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Server(subject, port, folder), process, output
    finally:
        _end(process)


def seconds_to_ready(subject: Subject, folder: Path) -> float:
    """Start a server of ours, and return the seconds until it is ready."""
    started = time.perf_counter()
    with _started(subject, folder) as (server, process, output):
        while process.poll() is None and time.perf_counter() - started < READY_SECONDS:
            try:
                server.ask("/readyz", None)
                return time.perf_counter() - started
            except OSError:
                time.sleep(0.005)
    raise RuntimeError(f"{subject.name} is not ready\n{output.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], output: Path, row: Row) -> None:
    until = time.monotonic() + READY_SECONDS
    error: Exception | None = None
    while time.monotonic() < until and process.poll() is None:
        try:
            server.score(row)
            return
        except (OSError, urllib.error.URLError) as caught:
            error = caught
            if isinstance(caught, urllib.error.HTTPError) and caught.code < 500:
                raise RuntimeError(f"{server.subject.name} refuses the row: {caught.read().decode()}") from caught
            time.sleep(0.1)
    raise RuntimeError(f"{server.subject.name} does not answer: {error}\n{output.read_text(errors='replace')[-2000:]}")


def check(server: Server, rows: Sequence[Row], expected: Sequence[float]) -> None:
    """Compare its probabilities with the scorer's.

    Raises:
        RuntimeError: if one differs by more than its subject's tolerance.
    """
    for row, score in zip(rows, expected, strict=True):
        if not abs((got := server.score(row)) - score) <= server.subject.tolerance:
            raise RuntimeError(f"{server.subject.name} answers {got} where the scorer gives {score}: {row}")
