"""Two commands in one folder: the second names the first, and never advises to remove a file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.fixtures_repo import CommandResult, Repo
from tests.engine.in_process import stages_in_process, verb

HOLD = "import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@contextmanager
def holder(lock: Path) -> Iterator[int]:
    """A process that looks like a review with a password and holds a lock."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(lock), "-m", "pipelines", "review", "--password=hunter2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.communicate()


def check(done: CommandResult, pid: int) -> None:
    assert done.code == 3, done.out
    assert f"process {pid} (pipelines review), since " in done.out
    assert not [word for word in ("rwlock", "remove", "Unable to acquire", "hunter2") if word in done.out]


def test_a_command_that_holds_the_lock_is_named(repo: Repo) -> None:
    with holder(repo.path / ".dvc/tmp/lock") as pid, stages_in_process():
        check(verb(repo, "repro"), pid)
        check(verb(repo, "data"), pid)
    with stages_in_process():
        assert verb(repo, "repro").code == 0


def test_a_command_that_runs_a_stage_is_named(repo: Repo, tmp_path: Path) -> None:
    with holder(tmp_path / "other.lock") as pid, stages_in_process():
        written = {str(repo.path / "reports/validation.json"): {"pid": pid, "cmd": "dvc repro"}}
        (repo.path / ".dvc/tmp").mkdir(exist_ok=True)
        (repo.path / ".dvc/tmp/rwlock").write_text(json.dumps({"write": written, "read": {}}))
        repo.params(lambda document: document["validation"].update(min_rows=99))
        check(verb(repo, "repro"), pid)
