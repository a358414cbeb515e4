"""A release from the merge to the response of the model, with the real parts: git, Docker, a registry, GTO."""

import gzip
import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.repository import dvc_lock
from tests.engine.deployment.clients import load
from tests.engine.fixtures_repo import ROOT
from tests.engine.release.engine import TeamRepository, docker
from tests.engine.release.team_release import another, check, info, read_status, replicas_of, revert

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("image_name", ["merged"])
def test_merge_is_deployed_and_its_revert_deploys_the_old_image(shop: TeamRepository) -> None:
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


def test_release_and_revert_lose_no_request(shop: TeamRepository) -> None:
    shop.release()
    row = json.dumps(info(shop)["signature"]["example"]).encode()
    with load(int(shop.url.rpartition(":")[2]), row, clients=2, at_least=2_000) as failures:
        another(shop)
        shop.release()
        revert(shop)
        shop.release()
        docker("kill", replicas_of(shop)[0])
        shop.release("reconcile")
    assert failures == []
    check(shop, f"{shop.model_name}@v1.0.0", 3)


def test_image_holds_only_serving_packages_and_runs_unprivileged(
    shop: TeamRepository,
) -> None:
    shop.release()
    name = replicas_of(shop)[0]
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


def test_prediction_log_outlives_the_container(shop: TeamRepository) -> None:
    shop.release(PREDICTION_LOG="")
    row = info(shop)["signature"]["example"]
    request = urllib.request.Request(
        f"{shop.url}/predict", json.dumps(row).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        name = json.load(answer)["request_id"]
    another(shop)
    shop.release(PREDICTION_LOG="")  # the old container drains, and writes its log
    listed = docker("exec", replicas_of(shop)[0], "find", "/predictions", "-name", "*.jsonl.gz").split()
    assert len(listed) == 1
    content = subprocess.run(
        ["docker", "exec", replicas_of(shop)[0], "cat", listed[0]], capture_output=True, check=True
    ).stdout
    rows = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert [(logged["request_id"], logged["role"]) for logged in rows] == [(name, "champion")]


@pytest.mark.parametrize("image_name", ["replaced"])
def test_image_with_another_model_is_refused(shop: TeamRepository) -> None:
    shop.release()
    another(shop)
    shop.release("image")
    release = shop.release("id").split()[-1]
    reference = f"{shop.hub.host}/{shop.image_name}:{release}"
    # Replace the image by one with another model, under the same tag.
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


def test_failed_critical_case_blocks_the_release(shop: TeamRepository) -> None:
    case = {"name": "never", "why": "a test", "row": info_example(shop), "expect": {"at_least": 2.0}}
    (shop.repo.path / "tests/critical/never.yaml").write_text(yaml.safe_dump([case]))
    shop.commit("Ask the impossible")
    out = shop.release(code=1)
    assert "critical case 'never' failed" in out
    assert read_status(shop) == [] and shop.repo.git("tag") == ""


def info_example(shop: TeamRepository) -> dict[str, Any]:
    """Return the example of the model's signature, from DVC's cache."""
    md5 = dvc_lock.outputs((shop.repo.path / "dvc.lock").read_text())["models/signature.json"]
    return json.loads((shop.repo.cache / "files/md5" / md5[:2] / md5[2:]).read_text())["example"]


def test_service_that_does_not_start_is_replaced_by_the_old_one(shop: TeamRepository) -> None:
    shop.release()
    another(shop)
    # Only the deployed container reads PREDICTION_LOG; an invalid one makes it fail.
    out = shop.release(code=1, PREDICTION_LOG="ftp://nowhere/log")
    assert "does not respond as" in out and "PREDICTION_LOG=ftp://nowhere/log" in out
    check(shop, f"{shop.model_name}@v1.0.0", 1)
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.1", 2)


def test_deploy_command_gets_the_release_and_is_verified(shop: TeamRepository, tmp_path: Path) -> None:
    script = tmp_path / "deploy"
    script.write_text(
        f'#!/bin/sh\nset -eu\necho "$RELEASE_ID $IMAGE $MODEL_VERSION $SERVICE_URL $1" >> {tmp_path}/seen\n'
        f"docker rm -f {shop.model_name}-ours >/dev/null 2>&1 || true\n"
        f"exec docker run -d --name {shop.model_name}-ours --label mainline.model={shop.model_name} "
        '-e MODEL_VERSION="$MODEL_VERSION" '
        f'-e PREDICTION_LOG=off -p {shop.url.removeprefix("http://")}:3000 "$IMAGE" >/dev/null\n'
    )
    script.chmod(0o755)
    shop.repo.params(lambda document: document["serving"].update(deploy=[str(script), "$(reboot)"]))
    shop.commit("Deploy by a script")
    shop.release()
    check(shop, f"{shop.model_name}@v1.0.0", 1)
    now = read_status(shop)[0]
    assert (tmp_path / "seen").read_text() == f"{now['release']} {now['image']} {now['version']} {shop.url} $(reboot)\n"
    assert f"{shop.url} responds with {now['release']} already" in shop.release("reconcile")

    script.write_text("#!/bin/sh\nexit 5\n")
    another(shop)
    assert "ended with 5" in shop.release(code=1)
    assert len(read_status(shop)) == 1


def test_unreachable_registry_ends_with_3_and_missing_settings_with_2(shop: TeamRepository) -> None:
    out = shop.release(code=3, IMAGE_REPOSITORY="127.0.0.1:9/fraud")
    assert "the image registry of 127.0.0.1:9/fraud returned an error" in out
    out = shop.release(code=2, IMAGE_REPOSITORY="")
    assert "IMAGE_REPOSITORY is not set" in out
    assert "IMAGE_REPOSITORY is '-x; reboot'" in shop.release(code=2, IMAGE_REPOSITORY="-x; reboot")


@pytest.mark.parametrize("image_name", ["unsigned"])
def test_unsigned_image_is_rebuilt_and_not_deployed(shop: TeamRepository, tmp_path: Path) -> None:
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


def test_retention_lists_images_and_objects(shop: TeamRepository) -> None:
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
    rows = {f"{folder}/{file['relpath']}" for folder in ("data", "prepared") for file in files}
    assert files and rows | {"data", "prepared"} | models == paths
    assert {file["md5"] for file in files} < kept["objects"].keys() and kept["unread"] == []
