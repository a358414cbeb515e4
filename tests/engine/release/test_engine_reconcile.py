"""`release reconcile` with a Docker engine and a registry."""

import shutil
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.engine.release.engine import TeamRepository, docker
from tests.engine.release.team_release import another, check, read_status, replicas_of
from tests.engine.release.test_model_registry import empty_store as empty_store

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("image_name", ["deleted"])
def test_reconcile_rebuilds_a_deleted_image(shop: TeamRepository) -> None:
    shop.release()
    old = read_status(shop)[0]["image"]
    lost = old.replace(f"{shop.hub.host}/", "").partition("@")
    request = urllib.request.Request(f"http://{shop.hub.host}/v2/{lost[0]}/manifests/{lost[2]}", method="DELETE")
    urllib.request.urlopen(request).close()
    docker("rm", "--force", *replicas_of(shop))
    out = shop.release("reconcile")
    assert f"The image of {shop.model_name}@v1.0.0 is gone." in out and "Building the image" in out
    # Docker's cache may give the same digest again; another digest is recorded.
    images = [row["image"] for row in read_status(shop)]
    assert images == [old] or (images[1:] == [old] and images[0] != old)
    check(shop, f"{shop.model_name}@v1.0.0", len(images))


def test_reconcile_restores_the_production_tag_and_the_service(
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
    docker("rm", "--force", *replicas_of(shop))
    for _ in range(2):
        shop.release("reconcile")
        check(shop, f"{shop.model_name}@v1.0.1", 2)


def test_reconcile_fills_an_emptied_mlflow_registry(shop: TeamRepository, empty_store: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}
    shutil.copy(empty_store, database)
    shop.release_apart(**environment)
    another(shop)
    shop.release_apart(**environment)
    before = read_model_version_tags(database)
    assert [tags["version"] for tags in before] == [f"{shop.model_name}@v1.0.0", f"{shop.model_name}@v1.0.1"]
    assert [tags["image"] for tags in before] == [row["image"] for row in reversed(read_status(shop))]

    shutil.copy(empty_store, database)
    assert f"MLflow: champion is version 2 of {shop.model_name}." in shop.release_apart("reconcile", **environment)
    assert read_model_version_tags(database) == before
    check(shop, f"{shop.model_name}@v1.0.1", 2)


def read_model_version_tags(database: Path) -> list[dict[str, str]]:
    """Return the tags of all model versions, by number."""
    with sqlite3.connect(database) as store:
        rows = store.execute("SELECT version, key, value FROM model_version_tags ORDER BY version").fetchall()
    found: dict[int, dict[str, str]] = {}
    for version, key, value in rows:
        found.setdefault(version, {})[key] = value
    return list(found.values())
