"""The image is a BentoML image: `bentoml serve` works in it, besides the default process."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.engine.release.engine import TeamRepository, docker, free_port

pytestmark = pytest.mark.engine


def ask(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def wait_for(url: str, container: str) -> Any:
    for _ in range(600):
        try:
            return ask(url)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(docker("logs", container))


def test_bentoml_serve_and_the_default_process_respond_equally(shop: TeamRepository) -> None:
    shop.release()
    revision = shop.repo.git("rev-parse", "HEAD")
    image = docker("images", "--quiet", "--filter", f"label=org.opencontainers.image.revision={revision}").split()[0]
    options = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--memory", "512m", "--env", "PREDICTION_LOG=off"]
    probabilities, processes = [], []
    for command in ([], ["--entrypoint", "bentoml"]):
        port = free_port()
        arguments = ["serve", "serving.service:Predictions", "--port", "3000"] if command else []
        container = docker(
            "run", "--detach", *options, "--publish", f"127.0.0.1:{port}:3000", *command, image, *arguments
        )
        try:
            info = wait_for(f"http://127.0.0.1:{port}/info", container)
            row = info["signature"]["example"]
            probabilities.append(ask(f"http://127.0.0.1:{port}/predict", row)["probability"])
            processes.append("bentoml" in docker("top", container, "-o", "pid,args"))
        finally:
            docker("rm", "--force", "--volumes", container)
    assert probabilities[0] == probabilities[1]
    assert processes == [False, True]
