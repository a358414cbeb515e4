"""A merge to main until the model answers, with the real parts: git, Docker, a registry, GTO."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from contextlib import chdir
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from gto.cli import app

from pipelines.release import deploy
from pipelines.repository import dvc_lock
from tests.engine.fixtures_repo import ROOT, Repo, point_at_cache, quiet_environment
from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository, docker
from tests.engine.release.test_flow import act_after_call
from tests.engine.release.test_model_registry import empty_store as empty_store

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("docker")]
LIMIT = 9_999  # another max_batch_rows makes another identity of the same model


def info(shop: TeamRepository) -> dict[str, Any]:
    """What production answers."""
    with urllib.request.urlopen(f"{shop.url}/info", timeout=10) as answer:
        return json.load(answer)


def another(shop: TeamRepository, limit: int = LIMIT) -> str:
    """Merge a change of the service's settings; its commit."""
    shop.repo.params(lambda document: document["serving"].update(max_batch_rows=limit))
    return shop.commit(f"Take {limit} rows")


def revert(shop: TeamRepository, commit: str = "HEAD") -> str:
    """`git revert` on main; its commit."""
    shop.repo.git("revert", "--no-edit", commit)
    shop.repo.git("push", "--quiet", "origin", "main")
    return shop.repo.git("rev-parse", "HEAD")


def digest_of(shop: TeamRepository, tag: str) -> str:
    """The digest that a tag of the registry has."""
    done = subprocess.run(
        ["skopeo", "inspect", "--no-tags", "--tls-verify=false", "--format", "{{.Digest}}",
         f"docker://{shop.hub.host}/{shop.image_name}:{tag}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def gto(shop: TeamRepository, *command: str) -> str:
    """What `gto` prints; in this process, since its imports take longer than all it does."""
    with chdir(shop.repo.path):
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def read_status(shop: TeamRepository) -> list[dict[str, Any]]:
    """`release status --json`, the newest first."""
    return json.loads(must(verb(shop.repo, "release", "status", "--json", **shop.environment)).out)


def check(shop: TeamRepository, version: str, counter: int) -> None:
    """Git, GTO, registry and service agree on what is in production."""
    history = read_status(shop)
    now = history[0]
    assert (now["version"], now["assignment"]) == (version, f"{shop.model_name}#production#{counter}")
    assert (info(shop)["release"], info(shop)["version"]) == (now["release"], version)
    assert digest_of(shop, "production") == now["image"].partition("@")[2]
    running = docker("inspect", "--format", "{{.Config.Image}}", f"{shop.model_name}-production")
    assert running == now["image"]
    assert f"{shop.model_name}-before" not in docker("ps", "--all", "--format", "{{.Names}}").split()
    assert gto(shop, "show", f"{shop.model_name}#production", "--ref") == version
    events = json.loads(gto(shop, "history", shop.model_name, "--json"))
    assigned = [event["ref"] for event in events if event["event"] == "assignment"]
    assert assigned == [row["assignment"] for row in history]


def test_a_merge_ends_in_a_tag_and_an_image_that_answers_and_its_revert_in_the_old_image(shop: TeamRepository) -> None:
    out = shop.release_apart()
    assert f"{shop.model_name}@v1.0.0 is in production as {shop.model_name}#production#1." in out
    check(shop, f"{shop.model_name}@v1.0.0", 1)
    named = dvc_lock.outputs((shop.repo.path / "dvc.lock").read_text())
    assert info(shop)["model"] == named["models/model.onnx"] == read_status(shop)[0]["model"]

    another(shop)
    assert "Building the image" in shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 2)

    undone = revert(shop)
    out = shop.release()
    assert "Building" not in out and "comes from" not in out
    check(shop, f"{shop.model_name}@v1.0.0", 3)
    assert read_status(shop)[0]["main_commit"] == undone

    again = revert(shop)  # the revert of the revert
    assert "Building" not in shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 4)

    (shop.repo.path / "README.md").write_text("other words\n")
    shop.commit("Document it")
    assert f"Nothing to release: {shop.model_name}@v1.0.1" in shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 4)
    assert read_status(shop)[0]["main_commit"] == again

    shop.repo.git("checkout", "--quiet", undone)
    assert "Superseded" in shop.release()
    shop.repo.git("checkout", "--quiet", "main")
    check(shop, f"{shop.model_name}@v1.0.1", 4)


def test_the_image_holds_the_serving_lock_and_nothing_to_build_with_and_runs_without_rights(
    shop: TeamRepository,
) -> None:
    shop.release()
    name = f"{shop.model_name}-production"
    assert docker("exec", name, "id", "-u") == "1034"
    assert docker("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}", name) == "true [ALL]"
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", name))
    assert labels["org.opencontainers.image.version"] == info(shop)["release"]
    assert labels["org.opencontainers.image.revision"] == shop.repo.git("rev-parse", "HEAD")
    listed = docker("exec", name, "python", "-c", "from importlib.metadata import distributions as d\n"
                    "print(*sorted({x.name.lower().replace('_', '-').replace('.', '-') for x in d()}))")  # fmt: skip
    lock_text = (shop.repo.path / "requirements/serving.txt").read_text()
    locked = {
        line.split("==")[0] for line in lock_text.splitlines() if "==" in line and not line.startswith((" ", "#"))
    }
    assert set(listed.split()) <= locked
    assert not {"pandas", "scikit-learn", "dvc", "mlflow", "pyarrow"} & set(listed.split())
    for tool in ("gcc", "make", "git", "uv"):
        assert subprocess.run(["docker", "exec", name, "which", tool], capture_output=True).returncode == 1, tool
    files = docker("exec", name, "find", "/app", "-maxdepth", "1").split()
    assert sorted(Path(file).name for file in files if file != "/app") == [".venv", "models", "serving", "serving.json"]


def test_a_prediction_is_logged_in_the_volume_that_outlives_the_container(shop: TeamRepository) -> None:
    shop.release(PREDICTION_LOG="")
    row = info(shop)["signature"]["example"]
    request = urllib.request.Request(
        f"{shop.url}/predict", json.dumps(row).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        name = json.load(answer)["request_id"]
    another(shop)
    shop.release(PREDICTION_LOG="")  # the old container drains, and writes its log
    listed = docker("exec", f"{shop.model_name}-production", "find", "/predictions", "-name", "*.parquet").split()
    assert len(listed) == 1
    content = subprocess.run(
        ["docker", "exec", f"{shop.model_name}-production", "cat", listed[0]], capture_output=True, check=True
    ).stdout
    table = pq.read_table(io.BytesIO(content)).to_pylist()
    assert [(logged["request_id"], logged["role"]) for logged in table] == [(name, "champion")]


def test_an_image_with_another_model_than_the_reviewed_one_is_not_released(shop: TeamRepository) -> None:
    shop.release()
    another(shop)
    shop.release("image")
    release = shop.release("id").split()[-1]
    reference = f"{shop.hub.host}/{shop.image_name}:{release}"
    # Somebody puts another model under the release's name.
    docker("pull", "--quiet", reference)
    held = docker("create", reference)
    other = shop.repo.path.parent / "model.onnx"
    docker("cp", f"{held}:/app/models/model.onnx", str(other))
    other.write_bytes(other.read_bytes().replace(b"amount", b"amounT", 1))
    docker("cp", str(other), f"{held}:/app/models/model.onnx")
    docker("commit", held, reference)
    docker("rm", held)
    docker("push", "--quiet", reference)
    out = shop.release(code=1)
    assert "smoke test" in out
    assert out.strip().splitlines()[-1] == "Nothing was deployed; production is as it was."
    check(shop, f"{shop.model_name}@v1.0.0", 1)


def test_a_critical_case_that_the_model_does_not_fulfil_blocks_the_release(shop: TeamRepository) -> None:
    case = {"name": "never", "why": "a test", "row": info_example(shop), "expect": {"at_least": 2.0}}
    (shop.repo.path / "tests/critical/never.yaml").write_text(yaml.safe_dump([case]))
    shop.commit("Ask the impossible")
    out = shop.release(code=1)
    assert "critical case 'never' failed" in out
    assert read_status(shop) == [] and shop.repo.git("tag") == ""


def info_example(shop: TeamRepository) -> dict[str, Any]:
    """The example of the model's signature, out of DVC's cache."""
    md5 = dvc_lock.outputs((shop.repo.path / "dvc.lock").read_text())["models/signature.json"]
    return json.loads((shop.repo.cache / "files/md5" / md5[:2] / md5[2:]).read_text())["example"]


def test_a_service_that_does_not_come_up_leaves_the_old_one_and_assigns_nothing(shop: TeamRepository) -> None:
    shop.release()
    another(shop)
    # A salt is no reason to fail; a log that is no address is, and only the deployed container reads it.
    out = shop.release(code=1, PREDICTION_LOG="ftp://nowhere/log")
    assert "does not respond as" in out and "PREDICTION_LOG=ftp://nowhere/log" in out
    check(shop, f"{shop.model_name}@v1.0.0", 1)
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 2)


def test_a_deploy_command_gets_the_release_and_must_make_the_service_answer(
    shop: TeamRepository, tmp_path: Path
) -> None:
    script = tmp_path / "deploy"
    script.write_text(
        f'#!/bin/sh\nset -eu\necho "$RELEASE_ID $IMAGE $MODEL_VERSION $1" >> {tmp_path}/seen\n'
        f"docker rm -f {shop.model_name}-production >/dev/null 2>&1 || true\n"
        f'exec docker run -d --name {shop.model_name}-production -e MODEL_VERSION="$MODEL_VERSION" '
        f'-e PREDICTION_LOG=off -p {shop.url.removeprefix("http://")}:3000 "$IMAGE" >/dev/null\n'
    )
    script.chmod(0o755)
    shop.repo.params(lambda document: document["serving"].update(deploy=[str(script), "$(reboot)"]))
    shop.commit("Deploy by a script")
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.0", 1)
    now = read_status(shop)[0]
    assert (tmp_path / "seen").read_text() == f"{now['release']} {now['image']} {now['version']} $(reboot)\n"

    script.write_text("#!/bin/sh\nexit 5\n")
    another(shop)
    assert "ended with 5" in shop.release(code=1)
    assert len(read_status(shop)) == 1


def test_a_registry_that_is_down_is_not_an_image_that_is_missing(shop: TeamRepository) -> None:
    out = shop.release(code=3, IMAGE_REPOSITORY="127.0.0.1:9/fraud")
    assert "the image registry of 127.0.0.1:9/fraud returned an error" in out
    out = shop.release(code=2, IMAGE_REPOSITORY="")
    assert "IMAGE_REPOSITORY is not set" in out
    assert "IMAGE_REPOSITORY is '-x; reboot'" in shop.release(code=2, IMAGE_REPOSITORY="-x; reboot")


def test_an_image_that_was_deleted_is_built_again_from_git_and_recorded(shop: TeamRepository) -> None:
    shop.release()
    old = read_status(shop)[0]["image"]
    lost = old.replace(f"{shop.hub.host}/", "").partition("@")
    request = urllib.request.Request(f"http://{shop.hub.host}/v2/{lost[0]}/manifests/{lost[2]}", method="DELETE")
    urllib.request.urlopen(request).close()
    docker("rm", "--force", f"{shop.model_name}-production")
    out = shop.release("reconcile")
    assert f"The image of {shop.model_name}@v1.0.0 is gone." in out and "Building the image" in out
    # Docker's cache may give the same bytes again; other ones are recorded.
    images = [row["image"] for row in read_status(shop)]
    assert images == [old] or (images[1:] == [old] and images[0] != old)
    check(shop, f"{shop.model_name}@v1.0.0", len(images))


def test_reconcile_restores_a_moved_tag_and_a_dead_service_and_has_nothing_to_do_after_that(
    shop: TeamRepository,
) -> None:
    shop.release()
    another(shop)
    shop.release()
    first = read_status(shop)[1]
    subprocess.run(
        ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{first['image']}",
         f"docker://{shop.hub.host}/{shop.image_name}:production"],
        check=True, capture_output=True,
    )  # fmt: skip
    docker("rm", "--force", f"{shop.model_name}-production")
    for _ in range(2):
        shop.release("reconcile")
        check(shop, f"{shop.model_name}@v1.0.1", 2)


def test_where_images_are_signed_one_that_lies_there_unsigned_is_built_again_and_not_deployed_unsigned(
    shop: TeamRepository, tmp_path: Path
) -> None:
    signer = "https://github.com/acme/fraud/.github/workflows/release.yml@refs/heads/main"
    environment = {
        "PATH": f"{ROOT / 'tests/engine/workflows/standins/cosign-installer/bin'}:{os.environ['PATH']}",
        "HARNESS_ARTIFACTS": str(tmp_path),
        "IMAGE_SIGNER": signer,
    }
    (tmp_path / "signatures").touch()
    assert "(built)" in shop.release("image", **environment)
    out = shop.release(code=1, **environment)
    assert "Building the image" in out and read_status(shop) == []
    image = next(line.split()[0] for line in out.splitlines() if f" is not signed by {signer}" in line)
    (tmp_path / "signatures").write_text(f"{signer} {image}\n")
    assert "(existed already)" in shop.release("image", **environment)
    assert f"Signed by {signer}." in shop.release(**environment)


def test_an_emptied_mlflow_registry_is_filled_again_from_git(
    shop: TeamRepository, empty_store: Path, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}
    shutil.copy(empty_store, database)
    shop.release_apart(**environment)
    another(shop)
    shop.release_apart(**environment)
    before = registered(database)
    assert [tags["version"] for tags in before] == [f"{shop.model_name}@v1.0.0", f"{shop.model_name}@v1.0.1"]
    assert [tags["image"] for tags in before] == [row["image"] for row in reversed(read_status(shop))]

    shutil.copy(empty_store, database)
    assert f"MLflow: champion is version 2 of {shop.model_name}." in shop.release_apart("reconcile", **environment)
    assert registered(database) == before
    check(shop, f"{shop.model_name}@v1.0.1", 2)


def registered(database: Path) -> list[dict[str, str]]:
    """The tags of all model versions, by number."""
    with sqlite3.connect(database) as store:
        rows = store.execute("SELECT version, key, value FROM model_version_tags ORDER BY version").fetchall()
    found: dict[int, dict[str, str]] = {}
    for version, key, value in rows:
        found.setdefault(version, {})[key] = value
    return list(found.values())


def test_releases_of_one_commit_at_once_in_one_clone_and_another_make_one_assignment(
    shop: TeamRepository, tmp_path: Path
) -> None:
    outs = at_once(shop, shop, clone(shop, tmp_path / "other"))
    assert all(code == 0 for code, _ in outs), outs
    check(shop, f"{shop.model_name}@v1.0.0", 1)


def test_of_two_commits_released_at_once_the_later_one_ends_in_production(shop: TeamRepository, tmp_path: Path) -> None:
    shop.release()
    earlier = another(shop)
    other = clone(shop, tmp_path / "other")
    other.repo.git("checkout", "--quiet", earlier)
    another(shop, LIMIT - 1)
    outs = at_once(shop, other)
    assert all(code == 0 for code, _ in outs), outs
    shop.repo.git("fetch", "--quiet", "--tags", "origin")
    assert read_status(shop)[0]["main_commit"] == shop.repo.git("rev-parse", "HEAD")
    history = read_status(shop)
    check(shop, history[0]["version"], len(history))


def test_a_revert_that_is_released_while_the_reverted_release_still_runs_wins(
    shop: TeamRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.release()
    another(shop)
    other = clone(shop, tmp_path / "other")

    def release_revert() -> None:
        revert(other)
        assert "Nothing to release" in other.release()  # its release is the one that is assigned
        check(shop, f"{shop.model_name}@v1.0.0", 1)

    act_after_call(monkeypatch, deploy, "deploy", release_revert)
    out = must(verb(shop.repo, "release", "run", **shop.environment)).out
    assert f"Superseded: main went back to {shop.model_name}@v1.0.0" in out
    check(shop, f"{shop.model_name}@v1.0.0", 1)


def clone(shop: TeamRepository, path: Path) -> TeamRepository:
    """The same shop in another clone."""
    subprocess.run(["git", "clone", "--quiet", str(shop.origin), str(path)], check=True)
    repo = Repo(path, shop.repo.cache)
    point_at_cache(repo)
    return TeamRepository(repo, shop.origin, shop.hub, shop.image_name, shop.model_name, shop.url)


def at_once(*shops: TeamRepository) -> list[tuple[int, str]]:
    """Release in several processes at the same time; how they ended."""
    found: list[tuple[int, str]] = []

    def one(shop: TeamRepository) -> None:
        done = shop.repo.verb("release", "run", **shop.environment)
        found.append((done.code, done.out))

    threads = [threading.Thread(target=one, args=(shop,)) for shop in shops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("line", ["Building the image", "Deploying"])
def test_a_release_that_is_killed_with_all_its_processes_can_be_run_again(shop: TeamRepository, line: str) -> None:
    shop.release()
    another(shop)
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, line], cwd=shop.repo.path, start_new_session=True,
        env={**_environment(), **shop.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert killed.wait() == -signal.SIGKILL
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 2)


# Kills its own process group with SIGKILL half a second after it began a step.
KILLED = """
import os, signal, sys, threading
from pipelines.cli.progress import Progress
step = Progress.step
def begun(self, what):
    if what == sys.argv[1]:
        threading.Timer(0.5, os.killpg, (0, signal.SIGKILL)).start()
    return step(self, what)
Progress.step = begun
from pipelines.__main__ import main
main(["release", "run"])
"""


def _environment() -> dict[str, str]:
    return {**os.environ, **quiet_environment()}


def test_what_must_be_kept_is_listed_with_its_images_and_objects(shop: TeamRepository) -> None:
    shop.release()
    first = read_status(shop)[0]
    another(shop)
    shop.release()
    kept = json.loads(shop.release("retention"))
    assert kept["versions"] == [f"{shop.model_name}@v1.0.0", f"{shop.model_name}@v1.0.1"]
    assert first["image"] in kept["images"] and len(kept["images"]) == 2
    paths = {path for found in kept["objects"].values() for path in found}
    named = (shop.repo.path / "dvc.lock").read_text()
    data = dvc_lock.data_md5(named) or ""
    files = json.loads((shop.repo.cache / "files/md5" / data[:2] / data[2:]).read_text())
    models = {path for path in dvc_lock.outputs(named) if path.startswith("models/")}
    assert files and {f"data/{file['relpath']}" for file in files} | {"data"} | models == paths
    assert {file["md5"] for file in files} < kept["objects"].keys() and kept["unread"] == []
