"""`python -m pipelines push`: the outputs of dvc.lock and the rows of data.dvc go to the DVC remote.

Needs the small problem (git, DVC, all stages).
"""

from pathlib import Path

import pytest

from pipelines.repository import dvc_lock
from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import must, verb


def test_push_without_a_remote_is_an_input_error(repo: Repo) -> None:
    done = must(verb(repo, "push"), 2)
    assert done.out.splitlines() == [
        "no DVC remote is set",
        "Set DVC_REMOTE_URL, for instance to s3://bucket/path.",
    ]


def test_rows_and_models_are_pushed_once_and_the_run_cache_is_not(repo: Repo, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    done = must(verb(repo, "push", DVC_REMOTE_URL=str(remote)))
    assert done.last.endswith("pushed")
    pushed = {path.relative_to(remote) for path in remote.rglob("*") if path.is_file()}
    outputs = dvc_lock.outputs(dvc_lock.read(repo.path))
    md5s = [md5 for name, md5 in outputs.items() if name.startswith("models/")] + [
        str(dvc_lock.data_md5(dvc_lock.read(repo.path)))
    ]
    assert {Path("files/md5") / md5[:2] / md5[2:] for md5 in md5s} <= pushed
    # In a run-cache, main would find the results of stages that a branch ran.
    assert {path.parts[0] for path in pushed} == {"files"}

    again = must(verb(repo, "push", DVC_REMOTE_URL=str(remote)))
    assert again.last == "Everything is up to date."
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize("remote", ["a server that is down", "a file"])
def test_a_remote_that_cannot_be_written_is_unreachable(repo: Repo, tmp_path: Path, remote: str) -> None:
    (tmp_path / "file").touch()
    server = {
        "DVC_REMOTE_URL": "s3://bucket/there",
        "DVC_REMOTE_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    done = must(
        verb(repo, "push", **(server if "server" in remote else {"DVC_REMOTE_URL": str(tmp_path / "file/below")})), 3
    )
    assert done.out.startswith("dvc push failed: ")
    assert "no reason given" not in done.out
    assert done.last == "Fix the remote and run `make push` again."
