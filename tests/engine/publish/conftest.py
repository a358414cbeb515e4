"""A clone whose origin holds a branch under review. Needs git."""

from pathlib import Path

import pytest

from pipelines.repository.git import git

IDENTITY = {
    "GIT_AUTHOR_NAME": "somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.invalid",
    "GIT_COMMITTER_NAME": "somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.invalid",
}
BRANCH = "feature/$(touch${IFS}evil);'\"&"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone on main, whose origin has a branch with a name that a shell would run."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    origin, path = tmp_path / "origin.git", tmp_path / "clone"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git("init", "--quiet", "--initial-branch=main", str(path))
    git("remote", "add", "origin", str(origin), cwd=path)
    monkeypatch.chdir(path)
    write({"dvc.lock": "old\n", "reports/gone.json": "{}\n", "reports/README.md": "", "params.yaml": "a: 1\n"})
    git("push", "--quiet", "origin", "main")
    git("checkout", "--quiet", "-b", BRANCH)
    write({"params.yaml": "a: 2\n"})
    git("push", "--quiet", "origin", BRANCH)
    git("checkout", "--quiet", "main")
    return path


def write(files: dict[str, str]) -> str:
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", "change")
    return git("rev-parse", "HEAD")


def tip() -> str:
    return git("ls-remote", "origin", f"refs/heads/{BRANCH}").split()[0]
