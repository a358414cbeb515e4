"""The service over HTTP, compared with other servers of the same model in one run.

All servers run from the beginning to the end and are loaded in turns; one without load sleeps. Every response is
compared with the scorer's before anything is timed, and a status other than 200 ends the benchmark.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import tutorial
from bench.problem import Problem
from bench.results import Result
from bench.servers import (
    ALIKE,
    BARE,
    BENTO,
    BY_HAND,
    EXACT,
    MLFLOW,
    OURS,
    TUTORIAL,
    VECTOR,
    WITHOUT_LOG,
    Row,
    Server,
    Subject,
    check,
    running,
    seconds_to_ready,
    subjects_of,
)
from bench.timing import Show, threadpool_limits
from pipelines.config import params
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer

CONNECTIONS, ROUNDS, SECONDS = 32, 5, 1.2
BATCH_ROWS = 10_000
TARGETS = {
    BY_HAND: "ratio >= 1.5",
    VECTOR: "ratio >= 1.5",
    TUTORIAL: "ratio >= 8",
    MLFLOW: "ratio >= 15",
    BENTO: "ratio >= 10",
    BARE: "ratio >= 0.6",
}
P99 = "a row over HTTP, one connection, 99th percentile"
LOG_P99 = f"a row over HTTP, {CONNECTIONS} connections, 99th percentile"
READY = "process start to ready"
BATCH = "batches of 10,000 rows over HTTP, a row"
BESIDE = tuple(f"a row over HTTP, {CONNECTIONS} connections, beside {peer}" for peer in TARGETS)
NAMES = (*BESIDE, P99, LOG_P99, READY, BATCH)


def save_for_mlflow(pipeline: Any, frame: Any, path: Path) -> None:
    """Save the pipeline as an MLflow model that returns probabilities."""
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
    """Convert a row of raw values to JSON: times as text, None for a missing value."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    return None if value != value else value


def score_rows(scorer: Scorer, rows: Sequence[Row]) -> Any:
    """Score rows of raw values with `Scorer.score`: dicts to columns, encoded."""
    columns = {}
    for item in scorer.signature.inputs:
        values = np.empty(len(rows), dtype=object)
        values[:] = [row.get(item.name) for row in rows]
        columns[item.name] = encode(item, values)
    return scorer.score(columns)


def measure(problem: Problem, show: Show) -> list[Result]:
    """Load all servers in turns with the default problem's model and the example of its signature."""
    return measure_at(problem.default.path, problem.folder / "serve", show)


def measure_at(root: Path, folder: Path, show: Show) -> list[Result]:
    """Measure the model of a reproduced work tree.

    Args:
        folder: created for the files of the servers.
    """
    import cloudpickle  # type: ignore[import-untyped]

    folder.mkdir()
    scorer = Scorer(root / "models/model.onnx", root / "models/signature.json", threads=1)
    names = scorer.signature.names
    pipeline = tutorial.fitted(root, show)
    table = tutorial.any_rows(root, BATCH_ROWS).select(names)
    serving_json, pickled = folder / "serving.json", folder / "pipeline.pkl"
    serving_json.write_text(params.load(root / "params.yaml").serving.to_json("0" * 12), encoding="utf-8")
    cloudpickle.register_pickle_by_value(tutorial)
    pickled.write_bytes(cloudpickle.dumps(pipeline))
    save_for_mlflow(pipeline, tutorial.frame(table), folder / "mlflow")
    rows = [plain(row) for row in table.to_pylist()]
    example = scorer.signature.example
    checked = [example, *_rows_to_check(scorer, pipeline, rows, tutorial.frame(table))]
    show("Starting the servers")
    subjects = subjects_of(root / "models", serving_json, pickled, folder / "mlflow", folder)
    ready = median(seconds_to_ready(subjects[0], folder) for _ in range(ROUNDS))
    with running([*subjects, _CEILING], folder, example) as servers:
        for subject in subjects:
            check(servers[subject.name], checked, [scorer.score_row(row) for row in checked])
        results = [*_single_rows(servers, example, show), _batches(servers[OURS], scorer, rows, show)]
        metrics = servers[OURS].ask("/metrics", None).decode()
    if "mainline_log_rows_dropped_total 0.0" not in metrics:
        raise RuntimeError("the prediction log dropped rows")
    return [*results, Result(READY, ready, "s", "value <= 0.5")]


_CEILING = Subject("the client alone", [sys.executable, "-m", "bench.subjects.ceiling", "{port}"], 1, probability=len)


def _rows_to_check(scorer: Scorer, pipeline: Any, rows: Sequence[Row], frame: Any, count: int = 4) -> list[Row]:
    """Return rows with low to high scores, of those that both libraries score alike."""
    ours, theirs = score_rows(scorer, rows), pipeline.predict_proba(frame[list(scorer.signature.names)])[:, 1]
    alike = np.flatnonzero(np.abs(ours - theirs) < ALIKE / 2)
    assert len(alike) > 0.95 * len(rows), "scikit-learn's pipeline is not the same model"
    by_score = alike[np.argsort(ours[alike])]
    return [rows[i] for i in by_score[np.linspace(0, len(by_score) - 1, count).astype(int)]]


def _single_rows(servers: Mapping[str, Server], example: Row, show: Show) -> list[Result]:
    contents = {name: server.content(example) for name, server in servers.items()}
    for name, server in servers.items():
        server.load(contents[name], CONNECTIONS, 0.5)
    rates: dict[str, list[float]] = {name: [] for name in servers}
    loaded_tails: dict[str, list[float]] = {name: [] for name in servers}
    tails: dict[str, list[float]] = {OURS: [], BARE: []}
    for number in range(ROUNDS):
        for name, server in servers.items():
            show(f"{name}, {CONNECTIONS} connections, run {number + 1} of {ROUNDS}")
            loaded = server.load(contents[name], CONNECTIONS, SECONDS)
            rates[name].append(loaded["rate"])
            loaded_tails[name].append(loaded["p99"])
        for name, milliseconds in tails.items():
            show(f"{name}, one connection, run {number + 1} of {ROUNDS}")
            milliseconds.append(servers[name].load(contents[name], 1, SECONDS)["p99"])
    rate = {name: median(values) for name, values in rates.items()}
    ceiling = rate.pop(_CEILING.name)
    if ceiling < 1.5 * max(rate.values()):
        raise RuntimeError(f"the client is too slow to measure the servers: {ceiling:.0f} requests/s")
    results = [
        Result(
            name=name,
            value=1e6 / rate[OURS],
            unit="µs",
            peers={peer: 1e6 / rate[peer]},
            target=target,
            note=f"{rate[OURS]:,.0f} requests/s against {rate[peer]:,.0f}",
        )
        for name, (peer, target) in zip(BESIDE, TARGETS.items(), strict=True)
    ]
    tail = {name: median(values) for name, values in tails.items()}
    results.append(Result(P99, value=tail[OURS], unit="ms", peers={BARE: tail[BARE]}, target="ratio <= 3"))
    of_log = [median(loaded_tails[name]) for name in (OURS, WITHOUT_LOG)]
    results.append(Result(LOG_P99, of_log[0], "ms", "ratio <= 1.5", {WITHOUT_LOG: of_log[1]}))
    return results


def _batches(server: Server, scorer: Scorer, rows: Sequence[Row], show: Show) -> Result:
    content = json.dumps(rows).encode()
    expected = score_rows(scorer, rows)
    scores = [row["probability"] for row in json.loads(server.ask("/predict_batch", content))]
    sound = bool(np.abs(np.array(scores) - expected).max() <= EXACT)
    ours, theirs, encoded = [], [], []
    columns = {
        item.name: encode(item, np.array([row[item.name] for row in rows], dtype=object))
        for item in scorer.signature.inputs
    }
    with threadpool_limits(1):
        for number in range(ROUNDS):
            show(f"batches, run {number + 1} of {ROUNDS}")
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
    """Return the mean seconds of a call, repeated for `at_least` seconds."""
    started, calls = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < at_least:
        call()
        calls += 1
    return took / calls
