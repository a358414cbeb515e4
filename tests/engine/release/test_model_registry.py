"""MLflow's model registry follows git, with a real SQLite store whose tables are created once."""

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

from pipelines.cli.errors import Unreachable
from pipelines.model import mlflow_model
from pipelines.release import model_registry
from pipelines.repository.tags import Annotation, Assignment, Version
from pipelines.review import mlflow_run
from tests.engine.fixtures_model import SmallModel
from tests.engine.fixtures_repo import ROOT

pytestmark = [pytest.mark.repository, pytest.mark.xdist_group("mlflow-registry")]
NAME = "orders"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mlflow.db with empty tables; created once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "mlflow-store"
    with (shared / "mlflow-store.guard").open("w") as guard, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(guard, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        patch.chdir(folder)
        mlflow_run._own_database()  # does nothing if the file exists
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
    """A database for one test, which MLFLOW_TRACKING_URI names; artifacts are beside it."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what MLflow sets
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


def test_registered_version_has_the_tags_of_git(store: Path, models: Path) -> None:
    one = version(models)
    assert model_registry.register_model(NAME, one, models) == "MLflow: orders@v1.0.0 is version 1 of orders."
    (found,) = list_model_versions()
    assert found.tags == {
        "release": "a" * 12,
        "version": "orders@v1.0.0",
        "image": f"registry.example/orders@sha256:{'a' * 64}",
        "main_commit": "a" * 40,
        "model_md5": one.annotation.model,
    }
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}


def test_registered_model_equals_the_reviewed_file_and_can_be_loaded(
    store: Path, models: Path, logistic: SmallModel
) -> None:
    import mlflow

    model_registry.register_model(NAME, version(models), models)
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/1"))
    assert (folder / "model.onnx").read_bytes() == (models / "model.onnx").read_bytes()
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    answer = float(loaded.predict(loaded.input_example)["probability"].ravel()[0])
    example = json.loads((models / "signature.json").read_text())["example"]
    assert answer == pytest.approx(logistic.scorer().score_row(example), abs=1e-6)


def test_registered_version_is_not_registered_again(store: Path, models: Path) -> None:
    registered = version(models)
    model_registry.register_model(NAME, registered, models)
    model_registry.set_champion(NAME, assigned(registered))
    before = [listed.tags for listed in list_model_versions()]
    model_registry.register_model(NAME, registered, models)
    assert [listed.tags for listed in list_model_versions()] == before
    assert before[0]["main_commit"] == "f" * 40


def test_champion_has_the_image_and_commit_of_its_assignment(store: Path, models: Path) -> None:
    registered = version(models)
    model_registry.register_model(NAME, registered, models)
    for digest in ("8", "9"):
        model_registry.set_champion(NAME, assigned(registered, digest=digest))
        (listed,) = list_model_versions()
        assert (listed.tags["image"][-64:], listed.tags["main_commit"]) == (digest * 64, "f" * 40)


def test_champion_alias_follows_production(store: Path, models: Path) -> None:
    first, second = version(models), version(models, "b", 1)
    for each in (first, second):
        model_registry.register_model(NAME, each, models)
    for champion, number in ((first, 1), (second, 2), (second, 2), (first, 1)):
        message = model_registry.set_champion(NAME, assigned(champion))
        assert message == f"MLflow: champion is version {number} of orders."
        assert client().get_model_version_by_alias(NAME, "champion").version == number


def test_emptied_registry_is_filled_again(store: Path, models: Path) -> None:
    wanted = [version(models), version(models, "b", 1)]
    for each in wanted:
        model_registry.register_model(NAME, each, models)
    before = [found.tags for found in list_model_versions()]
    client().delete_registered_model(NAME)
    assert model_registry.list_registered_versions(NAME) == {}
    for each in wanted:
        model_registry.register_model(NAME, each, models)
    assert [found.tags for found in list_model_versions()] == before
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1", "b" * 12: "2"}


def test_lost_database_is_filled_again(
    store: Path, empty_store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_registry.register_model(NAME, version(models), models)
    other = store.with_name("other.db")
    shutil.copy(empty_store, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert model_registry.list_registered_versions(NAME) == {}
    model_registry.register_model(NAME, version(models), models)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}


MOMENTS = {
    "the run begun, no model in it": ("mlflow_model", "log", False),
    "the model half logged": ("MlflowClient", "finalize_logged_model", False),
    "the model logged": ("mlflow_model", "log", True),
    "the registered model made": ("ModelRegistryClient", "create_registered_model", True),
    "the version made": ("ModelRegistryClient", "create_model_version", True),
}
# One child process for each moment, with its own folder and database; MLflow is imported once for all of them.
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
        model_registry.register_model(NAME, version(models), models)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(empty_store: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Moment -> folder with the database of a call that was killed at that moment."""
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
def test_next_call_completes_a_killed_one_without_duplicates(
    store: Path, models: Path, killed: dict[str, Path], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(killed[moment])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{killed[moment] / 'mlflow.db'}")
    experiments = [client().get_experiment_by_name(NAME).experiment_id]
    assert len(client().search_runs(experiments)) == 1  # the run exists: the call was killed after its start
    model_registry.register_model(NAME, version(models), models)
    (found,) = list_model_versions()
    assert set(found.tags) == {"release", "version", "image", "main_commit", "model_md5"}
    (run,) = client().search_runs(experiments)
    assert (run.data.tags["release"], run.info.status) == ("a" * 12, "FINISHED")
    (model,) = client().search_logged_models(experiments)
    assert found.source == f"models:/{model.model_id}"


def test_unreachable_server_is_reported_within_seconds_without_its_password(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    begun = time.monotonic()
    for ask in (
        lambda: model_registry.register_model(NAME, version(models), models),
        lambda: model_registry.list_registered_versions(NAME),
    ):
        with pytest.raises(Unreachable, match="MLflow cannot be used") as error:
            ask()
        assert "secret" not in str(error.value) and "127.0.0.1" in str(error.value)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_error_response_of_a_server_is_unreachable(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch, status: int
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
        with pytest.raises(Unreachable):
            model_registry.register_model(NAME, version(models), models)
        server.shutdown()


def test_read_only_database_is_unreachable(store: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_registry.register_model(NAME, version(models), models)
    # Opened read-only by SQLite, since root may write to any file.
    read_only = f"sqlite:///file:{store}?mode=ro&uri=true"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", read_only)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1"}
    with pytest.raises(Unreachable, match="MLflow cannot be used: .*readonly database"):
        model_registry.set_champion(NAME, assigned(version(models)))
    with pytest.raises(Unreachable):
        model_registry.register_model(NAME, version(models, "b", 1), models)
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
    connection.close()


def test_missing_database_driver_is_unreachable(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mssql+pymssql://somebody:secret@127.0.0.1:9/mlflow")
    with pytest.raises(Unreachable, match="pymssql") as error:
        model_registry.list_registered_versions(NAME)
    assert "secret" not in str(error.value)


def test_rejected_request_is_unreachable_with_the_reason(
    store: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_registry.register_model(NAME, version(models), models)
    client().delete_experiment(client().get_experiment_by_name(NAME).experiment_id)
    with pytest.raises(Unreachable, match="MLflow cannot be used: .*deleted experiment"):
        model_registry.register_model(NAME, version(models, "b", 1), models)


def test_read_only_artifact_folder_is_unreachable(store: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> str:
        raise PermissionError(13, "Permission denied", "/mlruns/1")

    monkeypatch.setattr(mlflow_model, "log", denied)
    with pytest.raises(Unreachable, match="Permission denied"):
        model_registry.register_model(NAME, version(models), models)
    assert list_model_versions() == []


def test_same_model_with_two_release_ids_is_registered_twice(store: Path, models: Path) -> None:
    one = version(models)
    other = dataclasses.replace(version(models, "b", 1), tag=f"{NAME}@v1.0.1")
    for each in (one, other):
        model_registry.register_model(NAME, each, models)
    assert model_registry.list_registered_versions(NAME) == {"a" * 12: "1", "b" * 12: "2"}
