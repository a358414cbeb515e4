"""The service over HTTP, beside what else would answer with the same model: all in one run, a process each.

All servers run from the beginning to the end and are loaded in turns; one that is not loaded sleeps. Every answer is
compared with the scorer's before anything is timed, and one that is not 200 ends the benchmark.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import tutorial
from bench.problem import Problem
from bench.results import Result
from bench.timing import Says, threadpool_limits
from pipelines.config import params
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from testing.repository import quiet_environment

ROOT = Path(__file__).parents[1]
CONNECTIONS, ROUNDS, SECONDS = 32, 5, 1.2
BATCH_ROWS = 10_000
EXACT, ALIKE = 1e-6, 2e-2  # of the same graph; of scikit-learn, whose thresholds are not float32
READY_SECONDS = 90.0
OURS, BARE = "serving", "bare ASGI handler"
BY_HAND, TUTORIAL, MLFLOW, BENTO = "FastAPI + ONNX Runtime", "FastAPI + scikit-learn", "mlflow models serve", "BentoML"
TARGETS = {
    BY_HAND: "ratio >= 1",
    TUTORIAL: "ratio >= 8",
    MLFLOW: "ratio >= 15",
    BENTO: "ratio >= 10",
    BARE: "ratio >= 0.6",
}
P99 = "a row over HTTP, one connection, 99th percentile"
BATCH = "batches of 10,000 rows over HTTP, a row"
NAMES = (*(f"a row over HTTP, {CONNECTIONS} connections, beside {peer}" for peer in TARGETS), P99, BATCH)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """A server.

    Attributes:
        command: what starts it; `{port}` is filled in.
        body: from a row of JSON to the request's body.
        probability: from the answer's JSON.
        tolerance: by which its answer may differ from the scorer's.
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
    """A subject that runs."""

    subject: Subject
    port: int
    folder: Path

    def ask(self, path: str, content: bytes | None) -> bytes:
        """The answer; any status but 200 raises."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{self.subject.name} answered {answer.status}")
            return bytes(answer.read())

    def content(self, row: Row) -> bytes:
        """The body of a request of a row."""
        return json.dumps(self.subject.body(row)).encode()

    def score(self, row: Row) -> float:
        """Its answer to a row."""
        return self.subject.probability(json.loads(self.ask(self.subject.path, self.content(row))))

    def load(self, content: bytes, connections: int, seconds: float, path: str | None = None) -> dict[str, float]:
        """Keep it busy, by a client in a process of its own.

        Raises:
            RuntimeError: if an answer was not 200.
        """
        file = self.folder / f"body-{self.port}.json"
        file.write_bytes(content)
        given = ["127.0.0.1", str(self.port), path or self.subject.path, str(file), str(connections), str(seconds)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", *given], cwd=ROOT, capture_output=True, text=True, timeout=60 + seconds
        )
        if done.returncode or (found := json.loads(done.stdout))["bad"]:
            raise RuntimeError(f"{self.subject.name} did not answer each request with 200:\n{done.stdout}{done.stderr}")
        return {key: float(value) for key, value in found.items()}


def subjects_of(models: Path, serving_json: Path, pipeline: Path, mlflow_model: Path, folder: Path) -> list[Subject]:
    """All servers of the model in `models` and of scikit-learn's pipeline.

    Args:
        pipeline: pickled.
        mlflow_model: the same one, as `save_for_mlflow` writes it.
        folder: for the prediction log and what BentoML keeps.
    """
    signature = json.loads((models / "signature.json").read_text(encoding="utf-8"))
    types = {item["name"]: item["type"] for item in signature["inputs"]}

    def typed(row: Row) -> dict[str, Any]:
        """The same values as the DataFrame has them: booleans that may be missing are floats, times have no zone."""
        of_frame: dict[str, Callable[[Any], Any]] = {"boolean": float, "timestamp": lambda text: text.removesuffix("Z")}
        return {
            name: value if value is None or types[name] not in of_frame else of_frame[types[name]](value)
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
        "HOST": "127.0.0.1",
        "PORT": "{port}",
    }
    mlflow = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", "{port}"]
    return [
        Subject(OURS, [*python, "serving"], EXACT, ours),
        Subject(BY_HAND, [*python, "uvicorn", "bench.subjects.fastapi_onnx:app", *uvicorn], EXACT, files),
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
    """Start the servers together, wait until each has answered the row, and end them whatever happens."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_started(subject, folder)) for subject in subjects]
        for server, process, output in servers:
            _wait(server, process, output, row)
        yield {server.subject.name: server for server, _, _ in servers}


@contextmanager
def _started(subject: Subject, folder: Path) -> Iterator[tuple[Server, subprocess.Popen[bytes], Path]]:
    port = _free_port()
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


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started, which are a group of their own."""
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
        except (OSError, urllib.error.URLError) as found:
            error = found
            if isinstance(found, urllib.error.HTTPError) and found.code < 500:
                raise RuntimeError(f"{server.subject.name} refuses the row: {found.read().decode()}") from found
            time.sleep(0.1)
    raise RuntimeError(f"{server.subject.name} does not answer: {error}\n{output.read_text(errors='replace')[-2000:]}")


def check(server: Server, rows: Sequence[Row], expected: Sequence[float]) -> None:
    """Compare its answers with the scorer's.

    Raises:
        RuntimeError: if one differs by more than its subject's tolerance.
    """
    for row, score in zip(rows, expected, strict=True):
        if not abs((got := server.score(row)) - score) <= server.subject.tolerance:
            raise RuntimeError(f"{server.subject.name} answers {got} where the scorer gives {score}: {row}")


def save_for_mlflow(pipeline: Any, frame: Any, path: Path) -> None:
    """Write the pipeline as MLflow's own model, which answers with probabilities."""
    import mlflow.models
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        pipeline,
        str(path),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        signature=mlflow.models.infer_signature(frame),
        pip_requirements=[],
    )


def plain(row: Row) -> dict[str, Any]:
    """A row of raw values as JSON has it: times as text, nothing where a value is missing."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    return None if value != value else value


def score_rows(scorer: Scorer, rows: Sequence[Row]) -> Any:
    """`Scorer.score` of rows of raw values: the columns are made of the dicts, encoded, and scored."""
    columns = {}
    for item in scorer.signature.inputs:
        values = np.empty(len(rows), dtype=object)
        values[:] = [row.get(item.name) for row in rows]
        columns[item.name] = encode(item, values)
    return scorer.score(columns)


def measure(problem: Problem, says: Says) -> list[Result]:
    """Load all servers in turns with the default problem's model and the example of its signature."""
    return measure_at(problem.default.path, problem.folder / "serve", says)


def measure_at(root: Path, folder: Path, says: Says) -> list[Result]:
    """Measure the model of a reproduced work tree.

    Args:
        folder: is made, for what the servers write.
    """
    import cloudpickle  # type: ignore[import-untyped]

    folder.mkdir()
    scorer = Scorer(root / "models/model.onnx", root / "models/signature.json", threads=1)
    names = scorer.signature.names
    pipeline = tutorial.fitted(root, says)
    table = tutorial.any_rows(root, BATCH_ROWS).select(names)
    serving_json, pickled = folder / "serving.json", folder / "pipeline.pkl"
    serving_json.write_text(params.load(root / "params.yaml").serving.to_json("0" * 12), encoding="utf-8")
    cloudpickle.register_pickle_by_value(tutorial)
    pickled.write_bytes(cloudpickle.dumps(pipeline))
    save_for_mlflow(pipeline, tutorial.frame(table), folder / "mlflow")
    rows = [plain(row) for row in table.to_pylist()]
    example = scorer.signature.example
    checked = [example, *_telling(scorer, pipeline, rows, tutorial.frame(table))]
    says("Starting the servers")
    subjects = subjects_of(root / "models", serving_json, pickled, folder / "mlflow", folder)
    with running([*subjects, _CEILING], folder, example) as servers:
        for subject in subjects:
            check(servers[subject.name], checked, [scorer.score_row(row) for row in checked])
        results = [*_single_rows(servers, example, says), _batches(servers[OURS], scorer, rows, says)]
        metrics = servers[OURS].ask("/metrics", None).decode()
    if "mainline_log_rows_dropped_total 0.0" not in metrics:
        raise RuntimeError("the prediction log lost rows")
    return results


_CEILING = Subject("the client alone", [sys.executable, "-m", "bench.subjects.ceiling", "{port}"], 1, probability=len)


def _telling(scorer: Scorer, pipeline: Any, rows: Sequence[Row], frame: Any, count: int = 4) -> list[Row]:
    """Rows of high, low and middling scores, of those that the two libraries score alike."""
    ours, theirs = score_rows(scorer, rows), pipeline.predict_proba(frame[list(scorer.signature.names)])[:, 1]
    alike = np.flatnonzero(np.abs(ours - theirs) < ALIKE / 2)
    assert len(alike) > 0.95 * len(rows), "scikit-learn's pipeline is not the same model"
    by_score = alike[np.argsort(ours[alike])]
    return [rows[i] for i in by_score[np.linspace(0, len(by_score) - 1, count).astype(int)]]


def _single_rows(servers: Mapping[str, Server], example: Row, says: Says) -> list[Result]:
    contents = {name: server.content(example) for name, server in servers.items()}
    for name, server in servers.items():
        server.load(contents[name], CONNECTIONS, 0.5)
    rates: dict[str, list[float]] = {name: [] for name in servers}
    tails: dict[str, list[float]] = {OURS: [], BARE: []}
    for number in range(ROUNDS):
        for name, server in servers.items():
            says(f"{name}, {CONNECTIONS} connections, run {number + 1} of {ROUNDS}")
            rates[name].append(server.load(contents[name], CONNECTIONS, SECONDS)["rate"])
        for name, found in tails.items():
            says(f"{name}, one connection, run {number + 1} of {ROUNDS}")
            found.append(servers[name].load(contents[name], 1, SECONDS)["p99"])
    rate = {name: median(found) for name, found in rates.items()}
    most = rate.pop(_CEILING.name)
    if most < 1.5 * max(rate.values()):
        raise RuntimeError(f"the client makes {most:.0f} requests a second at most: it is itself what is measured")
    results = [
        Result(
            name=f"a row over HTTP, {CONNECTIONS} connections, beside {peer}",
            value=1e6 / rate[OURS],
            unit="µs",
            peers={peer: 1e6 / rate[peer]},
            target=target,
            note=f"{rate[OURS]:,.0f} requests/s against {rate[peer]:,.0f}",
        )
        for peer, target in TARGETS.items()
    ]
    tail = {name: median(found) for name, found in tails.items()}
    results.append(Result(P99, value=tail[OURS], unit="ms", peers={BARE: tail[BARE]}, target="ratio <= 3"))
    return results


def _batches(server: Server, scorer: Scorer, rows: Sequence[Row], says: Says) -> Result:
    content = json.dumps(rows).encode()
    expected = score_rows(scorer, rows)
    got = [row["probability"] for row in json.loads(server.ask("/predict_batch", content))]
    sound = bool(np.abs(np.array(got) - expected).max() <= EXACT)
    ours, theirs, encoded = [], [], []
    columns = {
        item.name: encode(item, np.array([row[item.name] for row in rows], dtype=object))
        for item in scorer.signature.inputs
    }
    with threadpool_limits(1):
        for number in range(ROUNDS):
            says(f"batches, run {number + 1} of {ROUNDS}")
            ours.append(1 / server.load(content, 1, 2 * SECONDS, "/predict_batch")["rate"])
            theirs.append(_seconds(lambda: score_rows(scorer, rows), SECONDS / 2))
            encoded.append(_seconds(lambda: scorer.score(columns), SECONDS / 2))
    return Result(
        name=BATCH,
        value=median(ours) / len(rows) * 1e6,
        unit="µs",
        peers={"Scorer.score of the same rows as dicts": median(theirs) / len(rows) * 1e6},
        target="ratio >= 0.5",
        sound=sound,
        note=f"{len(rows) / median(ours):,.0f} rows/s against {len(rows) / median(theirs):,.0f} in process "
        f"({len(rows) / median(encoded):,.0f} where the columns are encoded beforehand)",
    )


def _seconds(call: Callable[[], object], at_least: float) -> float:
    """Mean seconds of a call, repeated for so long."""
    started, calls = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < at_least:
        call()
        calls += 1
    return took / calls
