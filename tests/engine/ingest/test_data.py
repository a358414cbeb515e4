"""The verb `data`, in scratch repositories with the real git and DVC."""

import argparse
import errno
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines import ingest
from pipelines.cli.errors import InputError, Unreachable
from pipelines.config.ingest import Files
from pipelines.config.params import parse
from pipelines.ingest.data import make_data
from pipelines.repository.data_pointer import check_ingest, md5_of
from pipelines.repository.dvc import folder_md5, in_cache, run_dvc
from pipelines.reproduce.data import difference, fetch_data
from tests.engine.fixtures_dvc import git
from tests.engine.fixtures_repo import ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory, empty_repository, params):
    """A repository with data/ ingested and committed; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("made") / "repository"
    shutil.copytree(empty_repository, folder)
    (folder / "params.yaml").write_text(
        yaml.safe_dump(params.model_dump(mode="json", by_alias=True), sort_keys=False), encoding="utf-8"
    )
    assert "data.dvc names them" in make_data(params, folder, quiet)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Add the data")
    return folder


@pytest.fixture
def repository(tmp_path, made):
    shutil.copytree(made, tmp_path / "repository")
    return tmp_path / "repository"


def quiet(_):
    """Ignore progress."""


def point_at_code(monkeypatch):
    """Let a verb that starts in a scratch repository import the code of this one."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def changed(params, **settings):
    return params.model_copy(update={"ingest": params.ingest.model_copy(update=settings)})


@pytest.fixture
def other_params(params, payments_folder):
    """Parameters that ingest other rows."""
    return changed(params, paths=(str(payments_folder / "others.parquet"),))


def content(repository):
    return {path.name: path.read_bytes() for path in sorted((repository / "data").iterdir())}


def document(repository):
    return yaml.safe_load((repository / "data.dvc").read_text(encoding="utf-8"))


def change_rows(repository):
    (repository / "data" / "2026-01.parquet").write_bytes(b"mine")


def test_make_writes_months_and_only_the_pointer_goes_to_git(repository, params, payments):
    assert sorted(content(repository)) == ["2026-01.parquet", "2026-02.parquet"]
    assert sum(pq.read_metadata(path).num_rows for path in (repository / "data").iterdir()) == len(payments)
    assert document(repository)["meta"] == {"ingest": params.ingest_id}
    assert git(repository, "ls-files").split() == [
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvcignore",
        ".gitignore",
        "data.dvc",
        "params.yaml",
    ]
    assert git(repository, "status", "--porcelain") == ""
    assert [path.name for path in repository.iterdir() if path.name.endswith(".tmp")] == []


def test_the_folder_hash_is_the_one_of_dvc(repository):
    assert folder_md5(repository, repository / "data") == md5_of(document(repository))
    assert run_dvc(repository, "status", "--quiet").returncode == 0


def test_the_record_of_the_parameters_survives_dvc_add(repository, params):
    shutil.copy(repository / "data" / "2026-01.parquet", repository / "data" / "2025-01.parquet")
    assert run_dvc(repository, "add", "data").returncode == 0
    assert document(repository)["meta"] == {"ingest": params.ingest_id}


def test_make_caches_rows_named_by_the_pointer_before_it_replaces_them(repository, other_params):
    old, named = content(repository), document(repository)
    shutil.rmtree(repository / ".dvc" / "cache")
    make_data(other_params, repository, quiet)
    assert content(repository) != old
    assert document(repository)["meta"]["ingest"] == other_params.ingest_id != named["meta"]["ingest"]
    git(repository, "checkout", "-q", "data.dvc")
    assert run_dvc(repository, "checkout", "data.dvc").returncode == 0
    assert content(repository) == old


def test_make_refuses_to_replace_rows_that_exist_only_in_data(repository, params):
    change_rows(repository)
    before = (content(repository), document(repository))
    with pytest.raises(InputError, match=r"neither named by data") as caught:
        make_data(params, repository, quiet)
    assert "dvc add data" in caught.value.remedy
    assert (content(repository), document(repository)) == before
    assert [path.name for path in repository.iterdir() if path.name.endswith(".tmp")] == []


def test_make_records_the_parameters_in_a_pointer_without_them(repository, params):
    bare = {key: value for key, value in document(repository).items() if key != "meta"}
    (repository / "data.dvc").write_text(yaml.safe_dump(bare), encoding="utf-8")
    check_ingest(params, repository)
    assert "commit data.dvc" in make_data(params, repository, quiet)
    assert document(repository)["meta"] == {"ingest": params.ingest_id}


def test_make_on_a_full_disk_keeps_the_old_rows_and_no_partial_file(repository, other_params, monkeypatch):
    before = (content(repository), document(repository))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(Unreachable, match="No space left"):
        make_data(other_params, repository, quiet)
    assert (content(repository), document(repository)) == before
    assert [path.name for path in repository.iterdir() if path.name.endswith(".tmp")] == []


def test_changed_ingest_parameters_are_refused_until_make(repository, params, other_params):
    check_ingest(params, repository)
    for settings in ({"paths": other_params.ingest.paths}, {"rename": {"betrag": "amount"}}):
        with pytest.raises(InputError, match="ingest parameters changed") as caught:
            check_ingest(changed(params, **settings), repository)
        assert "make data" in caught.value.remedy
    make_data(other_params, repository, quiet)
    check_ingest(other_params, repository)


def test_a_changed_column_type_requires_a_new_ingest_and_a_changed_gate_or_prepared_column_does_not(repository, params):
    raw = params.model_dump(mode="json", by_alias=True)
    raw["gates"]["resamples"] += 100
    raw["schema"]["columns"]["payments_1h"]["type"] = "number"
    check_ingest(parse(yaml.safe_dump(raw, sort_keys=False)), repository)
    raw["schema"]["columns"]["minutes_since_last"]["type"] = "number"
    with pytest.raises(InputError, match="ingest parameters changed"):
        check_ingest(parse(yaml.safe_dump(raw, sort_keys=False)), repository)


def test_rows_that_are_present_are_kept(repository, params):
    source = fetch_data(repository, quiet)
    assert source == "present" and difference(repository, source) is None


def test_rows_that_differ_are_kept_and_reported(repository, params):
    change_rows(repository)
    before = content(repository)
    note = difference(repository, fetch_data(repository, quiet))
    assert note is not None and "dvc add data" in note and "dvc checkout --force data.dvc" in note
    assert content(repository) == before


@pytest.mark.parametrize("what", ["list", "file"])
@pytest.mark.parametrize("damage", ["other bytes", "other bytes, read-only", "missing"])
def test_a_damaged_cache_does_not_hold_the_rows(repository, what, damage):
    md5 = md5_of(document(repository))
    assert in_cache(repository, md5)
    cached = [path for path in sorted((repository / ".dvc/cache").rglob("*")) if path.is_file()]
    path = next(path for path in cached if (path.suffix == ".dir") == (what == "list"))
    content, mode = path.read_bytes(), path.stat().st_mode
    path.unlink()
    if damage != "missing":
        # The list stays one that can be read, and names another file.
        path.write_bytes(content.replace(b"2026-02", b"2026-03") if what == "list" else content[:-1] + b"?")
    if damage == "other bytes, read-only":
        path.chmod(mode)
    assert not in_cache(repository, md5)


def test_rows_come_from_the_cache_first_also_into_an_empty_folder(repository, params):
    before = content(repository)
    shutil.rmtree(repository / "data")
    (repository / "data").mkdir()
    assert fetch_data(repository, quiet) == "checked out"
    assert difference(repository, "checked out") is None
    assert content(repository) == before


def test_a_remote_that_lacks_the_rows_is_unreachable_and_leaves_no_folder(repository, params, tmp_path):
    assert run_dvc(repository, "remote", "add", "--default", "--local", "far", str(tmp_path / "far")).returncode == 0
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc" / "cache")
    with pytest.raises(Unreachable, match="does not hold all rows"):
        fetch_data(repository, quiet)
    assert not (repository / "data").exists()


def test_a_clone_without_cache_and_remote_ingests_the_same_bytes(repository, params, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    point_at_code(monkeypatch)
    assert fetch_data(clone, quiet) == "made"
    assert difference(clone, "made") is None
    assert content(clone) == content(repository)
    assert git(clone, "status", "--porcelain") == ""
    assert in_cache(clone, md5_of(document(clone)))


def test_different_bytes_are_reported_and_the_pointer_is_kept(repository, other_params, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    point_at_code(monkeypatch)
    document = other_params.model_dump(mode="json", by_alias=True)
    (clone / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    assert "make data" in str(difference(clone, fetch_data(clone, quiet)))
    assert git(clone, "status", "--porcelain").strip() == "M params.yaml"


@pytest.mark.parametrize("text", [None, "outs: []", "[", "outs:\n- md5: abc\n  path: data\n"])
def test_without_a_pointer_there_is_one_clear_message(repository, params, text):
    (repository / "data.dvc").unlink()
    if text is not None:
        (repository / "data.dvc").write_text(text, encoding="utf-8")
    remedy = "make data" if text is None else "git"
    with pytest.raises(InputError, match=r"data\.dvc") as caught:
        check_ingest(params, repository)
    assert remedy in caught.value.remedy
    with pytest.raises(InputError, match=r"data\.dvc") as caught:
        fetch_data(repository, quiet)
    assert remedy in caught.value.remedy


def test_make_outside_a_dvc_repository_is_refused(tmp_path, params):
    with pytest.raises(InputError, match="not inside of a DVC repository"):
        make_data(params, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_files_are_ingested_too(repository, params):
    shutil.copytree(repository / "data", repository / "source")
    files = params.model_copy(update={"ingest": Files(kind="files", paths=("source/*.parquet",))})
    before = content(repository)
    assert "commit data.dvc" in make_data(files, repository, quiet)
    assert content(repository) == before
    check_ingest(files, repository)


def run(*arguments):
    parser = argparse.ArgumentParser()
    ingest.add_arguments(parser)
    return ingest.run(parser.parse_args(arguments))


def test_the_verb_prints_what_it_did(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    monkeypatch.delenv("DVC_REMOTE_URL", raising=False)
    before = (content(repository), document(repository))
    assert run() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing to do")
    assert (content(repository), document(repository)) == before
    with pytest.raises(InputError, match="holds files already"):
        run("--keep-pointer")
