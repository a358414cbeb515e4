"""What `release retention` lists: images by tags, objects by dvc.lock and by DVC's lists of folders. Needs git, DVC."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import Params, parse
from pipelines.release import retention
from pipelines.repository.dvc_remote import write_remote
from pipelines.repository.git import git
from tests.engine.fixtures_repo import PARAMS
from tests.engine.release.tag_repository import assign_version, register_version

MODELS = ("models/model.onnx", "models/signature.json")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def store_folder(store: Path, month: str) -> str:
    """Store DVC's list of a folder with two files; return its md5."""
    entries = [
        {"md5": md5(f"{name} {month}".encode()), "relpath": name} for name in ("a.parquet", f"{month}/b.parquet")
    ]
    return store_list(store, json.dumps(entries).encode())


def store_list(store: Path, content: bytes, cut: int | None = None) -> str:
    """Store the list of a folder, truncated to `cut` bytes; return the md5 of the whole list."""
    found = f"{md5(content)}.dir"
    path = store / "files/md5" / found[:2] / found[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[:cut])
    return found


def stage_dvc_lock(data: str, release: str, plots: str | None = None) -> None:
    """Stage a dvc.lock; the md5s of the model derive from `release`."""
    outs = [{"path": path, "md5": md5(f"{release} {path}".encode())} for path in MODELS]
    outs += [{"path": "reports/plots", "md5": plots}] if plots else []
    stages = {"train": {"deps": [{"path": "data", "md5": data}], "outs": outs}}
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    git("add", "dvc.lock")


@pytest.fixture
def cache(tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The DVC cache of the repository."""
    git("config", "commit.gpgsign", "false")
    (tag_repository / ".dvc").mkdir()
    (tag_repository / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return tag_repository / ".dvc/cache"


@pytest.fixture
def params() -> Params:
    """Settings that keep one version besides those of production."""
    document = yaml.safe_load(PARAMS.read_text())
    return parse(yaml.safe_dump(document | {"model_name": "fraud", "retention": {"keep_last": 1}}), "params.yaml")


def list_objects(data: str, month: str, release: str) -> dict[str, list[str]]:
    """Return the DVC objects that a release needs."""
    named = {data: ["data"]} | {md5(f"{release} {path}".encode()): [path] for path in MODELS}
    for name in ("a.parquet", f"{month}/b.parquet"):
        named[md5(f"{name} {month}".encode())] = [f"data/{name}"]
    return named


def image(letter: str) -> str:
    return f"127.0.0.1:5000/fraud@sha256:{letter * 64}"


def test_versions_of_production_and_the_newest_are_kept_with_their_files(cache: Path, params: Params) -> None:
    first, second, third = (store_folder(cache, month) for month in ("01", "02", "03"))
    stage_dvc_lock(first, "a")
    assign_version(register_version("a", (1, 0, 0)))
    stage_dvc_lock(second, "b")
    register_version("b", (1, 1, 0), digest="b")  # neither in production nor the last one
    stage_dvc_lock(third, "c")
    register_version("c", (1, 2, 0), digest="c")
    wanted = list_objects(first, "01", "a") | list_objects(third, "03", "c")
    assert retention.list_retained(params) == {
        "versions": ["fraud@v1.0.0", "fraud@v1.2.0"],
        "images": [image("a"), image("c")],
        "objects": dict(sorted(wanted.items())),
        "unread": [],
    }


def test_rebuilt_image_is_kept(cache: Path, params: Params) -> None:
    stage_dvc_lock(store_folder(cache, "01"), "a")
    version = register_version("a", (1, 0, 0))
    assign_version(version)
    assign_version(version, image=image("d"))
    assert retention.list_retained(params)["images"] == [image("a"), image("d")]


def test_files_in_git_are_not_listed(cache: Path, params: Params) -> None:
    data = store_folder(cache, "01")
    stage_dvc_lock(data, "a", md5(b"bars") + ".dir")
    Path("reports/plots").mkdir(parents=True)
    Path("reports/plots/bars.json").write_text("{}")
    git("add", "reports")
    assign_version(register_version("a", (1, 0, 0)))
    kept = retention.list_retained(params)
    assert (kept["objects"], kept["unread"]) == (dict(sorted(list_objects(data, "01", "a").items())), [])


def test_folder_list_is_read_from_the_remote_if_the_cache_lacks_it(cache: Path, params: Params, tmp_path: Path) -> None:
    data = store_folder(tmp_path / "remote", "01")
    write_remote(Path(), str(tmp_path / "remote"))
    stage_dvc_lock(data, "a")
    assign_version(register_version("a", (1, 0, 0)))
    assert retention.list_retained(params)["objects"] == dict(sorted(list_objects(data, "01", "a").items()))


@pytest.mark.parametrize(
    ("content", "cut"),
    [(b"[]", 0), (b'[{"md5": "1", "relpath": "a"}]', 9), (b"[1]", None), (b'[{"md5": "1"}]', None), (b"{", None)],
)
def test_unreadable_folder_list_is_reported(
    cache: Path, params: Params, content: bytes, cut: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    data = store_list(cache, content, cut)
    stage_dvc_lock(data, "a")
    assign_version(register_version("a", (1, 0, 0)))
    assert retention.print_retention(params) == 0
    out, err = capsys.readouterr()
    kept = json.loads(out)
    assert kept["unread"] == [data] and kept["objects"][data] == ["data"]
    assert len(kept["objects"]) == 1 + len(MODELS)
    assert data in err and "list cannot be read" in err


def test_missing_folder_list_or_unreachable_remote_is_reported(cache: Path, params: Params, tmp_path: Path) -> None:
    stage_dvc_lock("e" * 32 + ".dir", "a")
    assign_version(register_version("a", (1, 0, 0)))
    assert retention.list_retained(params)["unread"] == ["e" * 32 + ".dir"]
    for remote in (str(tmp_path / "nowhere"), "http://127.0.0.1:9/data"):
        write_remote(Path(), remote)
        assert retention.list_retained(params)["unread"] == ["e" * 32 + ".dir"]


def test_commit_that_is_not_fetched_is_an_error(cache: Path, params: Params) -> None:
    stage_dvc_lock(store_folder(cache, "01"), "a")
    version = register_version("a", (1, 0, 0))
    missing = "d" * 40
    assign_version(version, main_commit=missing)
    with pytest.raises(InputError, match=missing) as error:
        retention.list_retained(params)
    assert "git fetch" in error.value.remedy


def test_versions_released_by_another_clone_are_kept(cache: Path, params: Params) -> None:
    stage_dvc_lock(store_folder(cache, "01"), "a")
    assign_version(register_version("a", (1, 0, 0)))
    for tag in git("tag").splitlines():
        git("tag", "--delete", tag)
    assert retention.list_retained(params)["versions"] == ["fraud@v1.0.0"]
