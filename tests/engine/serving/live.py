"""The service as a process of its own, for tests over HTTP."""

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
RELEASE = "0123456789ab"
LIMITS = {"release": RELEASE, "max_batch_rows": 100, "max_body_mb": 1.0, "timeout_seconds": 20.0}
_PATIENCE = 60  # seconds until a test fails that waits for the service


class Answer(NamedTuple):
    """A response; `body` is decoded if it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a request; a body that is not bytes is sent as JSON. Underscores in names of headers become dashes."""
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, raw, named if raw is None else {"content-type": "application/json", **named})
    answer = connection.getresponse()
    received = {name.lower(): value for name, value in answer.getheaders()}
    content: Any = answer.read()
    if received.get("content-type") == "application/json" and content:
        content = json.loads(content)
    return Answer(answer.status, received, content)


@dataclass
class Service:
    """A running service.

    Attributes:
        folder: its working directory, with the prediction log and the file `stderr`.
    """

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = self.connect()
        try:
            return ask(connection, method, path, body, **headers)
        finally:
            connection.close()

    def counters(self) -> dict[tuple[str, ...], float]:
        """Return the samples of /metrics, by name and values of the labels."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics").body.decode())
        samples = (sample for family in families for sample in family.samples)
        return {(sample.name, *sample.labels.values()): sample.value for sample in samples}

    def stop(self) -> int:
        """End the service, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def log(self) -> list[dict[str, Any]]:
        """Return the rows of the prediction log; it is complete when the service has ended."""
        paths = sorted((self.folder / "predictions").rglob("*.jsonl.gz"))
        return [json.loads(line) for path in paths for line in gzip.open(path)]

    def logged_ids(self) -> list[str]:
        return [row["request_id"] for row in self.log()]

    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()


def environment(folder: Path, models: Path, limits: Any = LIMITS, **more: str) -> dict[str, str]:
    """Return the environment of a service, and write `limits` to its serving.json."""
    serving_json = folder / "serving.json"
    serving_json.write_text(limits if isinstance(limits, str) else json.dumps(limits))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PREDICTION_LOG"))}
    own = {
        "SERVING_JSON": str(serving_json),
        "MODEL_FOLDER": str(models),
        "PYTHONPATH": str(ROOT),
        "HOST": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "DRAIN_SECONDS": "0",  # no load balancer has to notice the end
        "BENTOML_HOME": str(folder / "bentoml"),
    }
    return {**inherited, **own, **more}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def module_command() -> list[str]:
    return [sys.executable, "-m", "serving"]


def bentoml_command() -> list[str]:
    return [sys.executable, "-m", "bentoml"]


@contextmanager
def serve(
    folder: Path, models: Path, limits: Any = LIMITS, command: list[str] | None = None, **more: str
) -> Iterator[Service]:
    """Start a service, wait until it is ready, and end it after the block."""
    port = free_port()
    named = [part.replace("PORT", str(port)) for part in command or module_command()]
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            named,
            cwd=folder,
            env=environment(folder, models, limits, PORT=str(port), **more),
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    service = Service(process, port, folder)
    try:
        _wait_until_ready(service)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def refusal(folder: Path, models: Path, limits: Any = LIMITS, **more: str) -> tuple[int, str]:
    """Return the exit code and stderr of a service that must not start."""
    env = environment(folder, models, limits, **{"PORT": str(free_port()), **more})
    ended = subprocess.run(
        module_command(), cwd=folder, env=env, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    return ended.returncode, ended.stderr


def _wait_until_ready(service: Service) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and service.process.poll() is None:
        try:
            if service.ask("GET", "/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service is not ready: {service.stderr()}")
