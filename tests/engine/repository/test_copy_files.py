from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.repository.base_model import _copy_files


def test_processes_that_copy_the_same_files_at_once_all_succeed(tmp_path: Path) -> None:
    sources = {}
    for name in ("model.onnx", "signature.json"):
        sources[f"models/{name}"] = tmp_path / name
        (tmp_path / name).write_text(name * 1000)
    for attempt in range(20):
        folder = tmp_path / "kept" / str(attempt)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, folder=folder: _copy_files(sources, folder), range(8)))
        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            path.name: path.read_text() for path in sources.values()
        }
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {str(attempt) for attempt in range(20)}


def test_a_damaged_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("whole")
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "model.onnx").write_text("who")
    _copy_files({"models/model.onnx": tmp_path / "model.onnx"}, folder)
    assert (folder / "model.onnx").read_text() == "whole"
