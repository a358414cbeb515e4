"""What goes into an image comes from git, not from the work tree."""

from pathlib import Path

from pipelines.release import image
from pipelines.repository.git import git
from tests.engine.release.tag_repository import push_commit
from tests.engine.release.tag_repository import tag_repository as tag_repository


def test_exported_files_equal_those_of_the_commit(tag_repository: Path, tmp_path: Path) -> None:
    content = b"first\r\nsecond\n"
    (tag_repository / "serving/inner").mkdir(parents=True)
    (tag_repository / "serving/inner/one.py").write_bytes(content)
    (tag_repository / "other.txt").write_text("not asked for")
    git("add", "--all")
    made = push_commit()
    (tag_repository / "serving/inner/one.py").write_text("changed since")
    image.export_files(made, ["serving"], tmp_path / "out")
    files = {path.relative_to(tmp_path / "out"): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {str(name): path.read_bytes() for name, path in files.items()} == {"serving/inner/one.py": content}
