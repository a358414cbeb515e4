"""`make serve`: the service on the model of the work tree. Needs the small problem."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from pipelines.config.params import load
from tests.engine.fixtures_repo import PARAMS, Repo, quiet_environment
from tests.engine.in_process import must, verb
from tests.engine.release.engine import free_port


def test_the_service_returns_the_release_id_of_the_work_tree(repo: Repo) -> None:
    release = must(verb(repo, "release", "id")).last
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "serve"],
        cwd=repo.path,
        env={**os.environ, **quiet_environment(), "PORT": str(port)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=5) as response:
                    info = json.load(response)
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None
                time.sleep(0.05)
        assert (info["release"], info["version"]) == (release, None)
    finally:
        process.terminate()
        out, _ = process.communicate()
    assert out.startswith(f"http://127.0.0.1:{port} (Ctrl-C ends it)")
    assert process.returncode == 0


def test_a_model_that_differs_from_dvc_lock_is_not_served(repo: Repo) -> None:
    with (repo.path / "models/model.onnx").open("ab") as file:
        file.write(b"\0")
    done = must(verb(repo, "serve"), 2)
    assert done.last == "Run `make repro`, then `make serve`."


def test_serving_json_contains_only_the_limits_of_the_service() -> None:
    document = json.loads(load(PARAMS).serving.to_json("0123456789ab"))
    assert set(document) == {"release", "max_batch_rows", "max_body_mb", "timeout_seconds"}
