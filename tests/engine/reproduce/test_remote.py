"""Data and models shared by a remote: one clone pushes, another one with an empty cache runs nothing.

Needs the small problem (git, DVC, all stages), and for S3 moto's server.
"""

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock
from pipelines.repository.base_model import fetch
from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import must, review, stages_in_process, verb
from tests.engine.reproduce.test_reproduce import states


@pytest.fixture
def bucket(s3: str) -> dict[str, str]:
    """The environment that names a bucket of a server which speaks S3's protocol."""
    import boto3

    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="shared")
    return {"DVC_REMOTE_URL": "s3://shared/fraud", "DVC_REMOTE_ENDPOINT_URL": s3}


def clone(source: Path, target: Path) -> Repo:
    """A fresh clone with an empty cache of its own."""
    subprocess.run(["git", "clone", "--quiet", str(source), str(target)], check=True)
    return Repo(target, target / ".dvc/cache")


def files(repo: Repo) -> dict[str, bytes]:
    """Bytes of data/ and models/."""
    paths = [path for folder in ("data", "models") for path in sorted((repo.path / folder).rglob("*"))]
    return {str(path.relative_to(repo.path)): path.read_bytes() for path in paths if path.is_file()}


def test_a_second_clone_pulls_the_same_bytes_and_the_base_model(
    repo: Repo, bucket: dict[str, str], tmp_path: Path
) -> None:
    # The models of main and of the branch are pushed from the first clone.
    repo.params(lambda document: document["candidates"].pop("boosting"))
    repo.params(lambda document: document["gates"].update(floors={}))
    with stages_in_process():
        must(verb(repo, "repro", **bucket))
    repo.commit("another model")
    must(repo.run(sys.executable, "-m", "dvc", "push", "--run-cache", "--all-branches", **bucket))
    before = (repo.path / "dvc.lock").read_bytes()

    second = clone(repo.path, tmp_path / "second")
    with stages_in_process():
        done = must(verb(second, "repro", **bucket))
    assert "pulling data/" in done.out
    assert set(states(done.out).values()) <= {"cached", "pulled"} and "export" in states(done.out)
    assert files(second) == files(repo)
    assert (second.path / "dvc.lock").read_bytes() == before
    assert second.git("status", "--porcelain") == ""

    must(review(second, "origin/main", **bucket), 1)
    side = second.report["base"]
    assert (side["source"], side["model"]) == ("remote", side["locked_model"])
    assert side["model"] != second.report["head"]["model"]
    assert any(name.startswith("regression") for name in second.failed)

    # Without the server a new clone cannot fetch the data.
    gone = {**bucket, "DVC_REMOTE_ENDPOINT_URL": "http://127.0.0.1:9"}
    third = clone(repo.path, tmp_path / "third")
    done = must(verb(third, "repro", **gone), 3)
    assert "fetch failed" in done.out and "remote" in done.last
    assert not (third.path / "data").exists()


def test_the_base_model_is_fetched_from_a_remote_with_a_relative_path(
    repo: Repo, small_problem: Path, tmp_path: Path
) -> None:
    cache = Path(shutil.copytree(small_problem / "cache", tmp_path / "cache"))
    (repo.path / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n")
    # DVC writes such a path relative to its configuration's folder.
    must(repo.run(sys.executable, "-m", "dvc", "remote", "add", "--local", "--default", "shelf", "../shelf"))
    must(repo.run(sys.executable, "-m", "dvc", "push", "--quiet"))
    assert (tmp_path / "shelf/files/md5").is_dir()
    md5 = dvc_lock.outputs((repo.path / "dvc.lock").read_text())["models/model.onnx"]
    (cache / "files/md5" / md5[:2] / md5[2:]).unlink()

    with chdir(repo.path):
        base = fetch(repo.git("rev-parse", "main"), Progress())
    assert base is not None and (base.source, base.md5) == ("remote", md5)
