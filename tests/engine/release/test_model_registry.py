"""MLflow's registry follows git: against a real SQLite store, whose tables are made once."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import http.server
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.model import mlflow_model
from pipelines.release import model_registry
from pipelines.repository.tags import Annotation, Assignment, Version
from pipelines.review import mlflow_run
from tests.engine.fixtures_model import SmallModel
from tests.engine.fixtures_repo import ROOT

pytestmark = pytest.mark.repository
NAME = "orders"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mlflow.db with its tables and nothing in them; made once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "mlflow-store"
    with (shared / "mlflow-store.guard").open("w") as guard, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(guard, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        patch.chdir(folder)
        mlflow_run._own_database()  # which leaves one that is there as it is
    return folder / "mlflow.db"


@pytest.fixture(scope="module")
def models(logistic: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.onnx and signature.json, as a release has them."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(logistic.model, folder / "model.onnx")
    document = json.loads(logistic.signature.read_text())
    row = logistic.rows()[0] | {"ordered_at": "2026-01-05T10:00:00Z", "usual_price": None, "shop": None}
    document["example"] = {name: row[name] for name in logistic.scorer().signature.names}
    (folder / "signature.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A database of the test's own, which MLFLOW_TRACKING_URI names; artifacts lie beside it."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # so that whatever is set meanwhile ends with the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    yield path
    mlflow.set_tracking_uri(before)


def client() -> Any:
    import mlflow

    return mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def version(models: Path, letter: str = "a", minor: int = 0) -> Version:
    md5 = hashlib.md5((models / "model.onnx").read_bytes()).hexdigest()
    image = f"registry.example/orders@sha256:{letter * 64}"
    annotation = Annotation(release=letter * 12, image=image, model=md5, signature="0" * 32)
    return Version(f"{NAME}@v1.{minor}.0", (1, minor, 0), letter * 40, annotation)


def assigned(to: Version, commit: str = "f" * 40, digest: str = "9") -> Assignment:
    update = {"version": to.tag, "main_commit": commit, "image": f"registry.example/orders@sha256:{digest * 64}"}
    annotation = to.annotation.model_copy(update=update)
    return Assignment(f"{NAME}#production#1", 1, to.commit, datetime(2026, 11, 1, tzinfo=UTC), annotation)


def list_model_versions() -> list[Any]:
    """The model versions of MLflow."""
    return sorted(client().search_model_versions(f"name = '{NAME}'"), key=lambda found: int(found.version))


def test_a_release_becomes_a_model_version_with_the_values_of_git(store: Path, models: Path) -> None:
    one = version(models)
    assert model_registry.register_model(NAME, one, models, None) == "MLflow: orders@v1.0.0 is version 1 of orders."
    (found,) = list_model_versions()
    assert found.tags == {
        "release": "a" * 12,
        "version": "orders@v1.0.0",
        "image": f"registry.example/orders@sha256:{'a' * 64}",
        "main_commit": "a" * 40,
        "model_md5": one.annotation.model,
    }
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}


def test_the_registered_model_is_the_reviewed_file_byte_for_byte_and_can_be_loaded(
    store: Path, models: Path, logistic: SmallModel
) -> None:
    import mlflow

    model_registry.register_model(NAME, version(models), models, None)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/1"))
    assert (folder / "model.onnx").read_bytes() == (models / "model.onnx").read_bytes()
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    answer = float(loaded.predict(loaded.input_example)["probability"].ravel()[0])
    example = json.loads((models / "signature.json").read_text())["example"]
    assert answer == pytest.approx(logistic.scorer().score_row(example), abs=1e-6)


def test_what_is_registered_already_is_left_as_it_is(store: Path, models: Path) -> None:
    one = version(models)
    model_registry.register_model(NAME, one, models, assigned(one))
    before = [found.tags for found in list_model_versions()]
    for again in (assigned(one), None):  # without an assignment the commit stays that of the one before
        assert (
            model_registry.register_model(NAME, one, models, again)
            == "MLflow: orders@v1.0.0 is version 1 of orders already."
        )
    assert [found.tags for found in list_model_versions()] == before
    assert before[0]["main_commit"] == "f" * 40


def test_an_image_that_was_built_anew_is_the_versions_image_from_then_on(store: Path, models: Path) -> None:
    one = version(models)
    model_registry.register_model(NAME, one, models, None)
    model_registry.register_model(NAME, one, models, assigned(one, digest="8"))
    (found,) = list_model_versions()
    assert (found.tags["image"].endswith("8" * 64), found.tags["main_commit"]) == (True, "f" * 40)


def test_the_champion_is_the_release_in_production_and_moves_with_it(store: Path, models: Path) -> None:
    one, two = version(models), version(models, "b", 1)
    for each in (one, two):
        model_registry.register_model(NAME, each, models, None)
    messages = [
        model_registry.set_champion(NAME, release)
        for release in (one.release_id, two.release_id, two.release_id, one.release_id)
    ]
    assert messages == [
        "MLflow: champion is version 1 of orders.",
        "MLflow: champion is version 2 of orders.",
        "MLflow: champion is version 2 of orders already.",
        "MLflow: champion is version 1 of orders.",
    ]
    assert client().get_model_version_by_alias(NAME, "champion").version == 1
    with pytest.raises(InputError, match="no version with release id cccccccccccc") as error:
        model_registry.set_champion(NAME, "c" * 12)
    assert "release reconcile" in error.value.remedy


def test_a_registry_that_was_emptied_is_filled_again(store: Path, models: Path) -> None:
    wanted = [version(models), version(models, "b", 1)]
    for each in wanted:
        model_registry.register_model(NAME, each, models, None)
    before = [found.tags for found in list_model_versions()]
    client().delete_registered_model(NAME)
    assert model_registry.list_registered_versions(NAME) == {}
    for each in wanted:
        model_registry.register_model(NAME, each, models, None)
    model_registry.set_champion(NAME, "b" * 12)
    assert [found.tags for found in list_model_versions()] == before
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1", "b" * 12: "2"}


def test_a_database_that_was_lost_is_filled_again(
    store: Path, empty_store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_registry.register_model(NAME, version(models), models, None)
    other = store.with_name("other.db")
    shutil.copy(empty_store, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert model_registry.list_registered_versions(NAME) == {}
    model_registry.register_model(NAME, version(models), models, None)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}


# Killed anywhere, the next call makes what one clean call makes

MOMENTS = {
    "the run begun, no model in it": ("mlflow_model", "log", False),
    "the model half logged": ("MlflowClient", "finalize_logged_model", False),
    "the model logged": ("mlflow_model", "log", True),
    "the registered model made": ("ModelRegistryClient", "create_registered_model", True),
    "the version made": ("ModelRegistryClient", "create_model_version", True),
}
# A child a moment, in a folder and with a database of its own; MLflow is imported once for all of them.
KILLED = """
import json, os, sys
from pathlib import Path
import mlflow.onnx
from mlflow import MlflowClient
from mlflow.tracking._model_registry.client import ModelRegistryClient
from pipelines.model import mlflow_model
from pipelines.release import model_registry
from tests.engine.release.test_model_registry import NAME, version

def dies(owner, name, after):
    real = getattr(owner, name)
    def call(*arguments, **options):
        if after:
            real(*arguments, **options)
        os.kill(os.getpid(), 9)
    setattr(owner, name, call)

models = Path(sys.argv[1])
for folder, (owner, name, after) in json.loads(sys.argv[2]).items():
    if not (child := os.fork()):
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///" + os.path.join(folder, "mlflow.db")
        dies(globals()[owner], name, after)
        model_registry.register_model(NAME, version(models), models, None)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(empty_store: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Moment -> the folder with what a call left that was killed then."""
    folders = {moment: tmp_path_factory.mktemp("killed") for moment in MOMENTS}
    for folder in folders.values():
        shutil.copy(empty_store, folder)
    plan = json.dumps({str(folder): MOMENTS[moment] for moment, folder in folders.items()})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", KILLED, str(models), plan]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(MOMENTS), done.stderr
    return folders


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_call_killed_anywhere_leaves_nothing_that_the_next_makes_twice(
    store: Path, models: Path, killed: dict[str, Path], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(killed[moment])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{killed[moment] / 'mlflow.db'}")
    experiments = [client().get_experiment_by_name(NAME).experiment_id]
    assert len(client().search_runs(experiments)) == 1  # it was killed later than at its beginning
    model_registry.register_model(NAME, version(models), models, None)
    (found,) = list_model_versions()
    assert set(found.tags) == {"release", "version", "image", "main_commit", "model_md5"}
    (run,) = client().search_runs(experiments)
    assert (run.data.tags["release"], run.info.status) == ("a" * 12, "FINISHED")
    (model,) = client().search_logged_models(experiments)
    assert found.source == f"models:/{model.model_id}"


def test_a_version_whose_tags_are_gone_is_found_by_its_model_and_gets_them_again(store: Path, models: Path) -> None:
    model_registry.register_model(NAME, version(models), models, None)
    for key in list_model_versions()[0].tags:
        client().delete_model_version_tag(NAME, "1", key)
    assert model_registry.list_registered_versions(NAME) == {}
    model_registry.register_model(NAME, version(models), models, None)
    (found,) = list_model_versions()
    assert set(found.tags) == {"release", "version", "image", "main_commit", "model_md5"}


# What MLflow may answer


def test_without_a_server_nothing_is_done_and_is_reported(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    for message in (
        model_registry.register_model(NAME, version(models), models, None),
        model_registry.set_champion(NAME, "a" * 12),
    ):
        assert message == "MLflow: skipped, MLFLOW_TRACKING_URI is not set."
    assert model_registry.list_registered_versions(NAME) == {}


def test_a_server_that_is_down_is_unreachable_within_seconds_and_its_password_stays_unsaid(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    begun = time.monotonic()
    for ask in (
        lambda: model_registry.register_model(NAME, version(models), models, None),
        lambda: model_registry.list_registered_versions(NAME),
    ):
        with pytest.raises(Unreachable, match="MLflow cannot be reached") as error:
            ask()
        assert "secret" not in str(error.value) and "127.0.0.1" in str(error.value)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("status", "kind"), [(403, Refused), (401, Refused), (500, Unreachable), (503, Unreachable)])
def test_what_a_server_answers_is_told_apart(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name of http.server

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(kind):
            model_registry.register_model(NAME, version(models), models, None)
        server.shutdown()


def test_a_database_that_takes_no_writes_refuses(store: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_registry.register_model(NAME, version(models), models, None)
    # By SQLite itself: whoever runs the tests as root may write to any file.
    read_only = f"sqlite:///file:{store}?mode=ro&uri=true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", read_only)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}
    with pytest.raises(Refused, match="MLflow rejects the request: .*readonly database"):
        model_registry.set_champion(NAME, "a" * 12)
    with pytest.raises(Refused):
        model_registry.register_model(NAME, version(models, "b", 1), models, None)
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
    connection.close()


def test_a_database_whose_driver_is_not_installed_is_said_to_be_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mssql+pymssql://somebody:secret@127.0.0.1:9/mlflow")
    with pytest.raises(InputError, match="pymssql") as error:
        model_registry.list_registered_versions(NAME)
    assert "secret" not in str(error.value)


def test_a_server_that_does_not_take_the_request_refuses_and_says_why(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_registry.register_model(NAME, version(models), models, None)
    client().delete_experiment(client().get_experiment_by_name(NAME).experiment_id)
    with pytest.raises(Refused, match="MLflow rejects the request: .*deleted experiment"):
        model_registry.register_model(NAME, version(models, "b", 1), models, None)


def test_a_folder_of_artifacts_that_takes_no_writes_refuses(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> str:
        raise PermissionError(13, "Permission denied", "/mlruns/1")

    monkeypatch.setattr(mlflow_model, "log", denied)
    with pytest.raises(Refused, match="Permission denied"):
        model_registry.register_model(NAME, version(models), models, None)
    assert list_model_versions() == []


def test_two_releases_of_one_model_are_two_versions(store: Path, models: Path) -> None:
    one = version(models)
    other = dataclasses.replace(version(models, "b", 1), tag=f"{NAME}@v1.0.1")
    for each in (one, other):
        model_registry.register_model(NAME, each, models, None)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1", "b" * 12: "2"}
