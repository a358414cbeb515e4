"""What the smoke test refuses, with a fake container; test_release.py runs real ones."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import Refused
from pipelines.config.params import parse
from pipelines.deployment.containers import Container
from pipelines.release import smoke_test
from pipelines.release.target_commit import TargetCommit
from pipelines.repository.dvc import file_md5
from pipelines.repository.git import git
from tests.engine.fixtures_model import SMALL
from tests.engine.release.tag_repository import push_commit
from tests.engine.release.tag_repository import tag_repository as tag_repository
from tests.engine.serving.asgi import tiny

CASE = {"name": "half", "why": "a test", "row": {"a": 0.5}, "expect": {"at_most": 0.6}}


@dataclass
class Image:
    """A fake container: its files, and the response of its service."""

    folder: Path
    model: str
    answer: float = 0.5

    def copy_out(self, source: str, target: Path) -> None:
        target.write_bytes((self.folder / Path(source).name).read_bytes())

    def address(self) -> str:
        return "http://service"

    def remove(self) -> None:
        pass


@dataclass
class Reviewed:
    """A commit with a model and one critical case, and its image."""

    image: Image
    target: TargetCommit

    def ask(self, **case: Any) -> None:
        """Commit a critical case in place of the earlier one."""
        path = Path("tests/critical/cases.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump([CASE | case]))
        git("add", "--all")
        self.target = replace(self.target, commit=push_commit())

    def smoke(self) -> None:
        smoke_test.run_smoke_test("fraud@sha256:1", self.target)


@pytest.fixture
def reviewed(tag_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    """A model that returns its input, and an image that holds the reviewed files."""
    held = tmp_path / "image"
    held.mkdir()
    tiny(held, formula="Identity(a)", task="classification")
    files = {f"models/{name}": file_md5(held / name) for name in ("model.onnx", "signature.json")}
    image = Image(held, files["models/model.onnx"])
    monkeypatch.setattr(smoke_test, "docker", lambda *_: "")
    monkeypatch.setattr(Container, "run", lambda *_, **__: image)
    monkeypatch.setattr(smoke_test, "wait_for_release", lambda *_, **__: True)
    monkeypatch.setattr(smoke_test, "get_info", lambda _: {"model": image.model})
    monkeypatch.setattr(smoke_test, "post_json", lambda *_: {"probability": image.answer})
    made = Reviewed(image, TargetCommit("", "a" * 12, parse(SMALL, "params.yaml"), files))
    made.ask()
    return made


def test_image_with_the_reviewed_model_passes(reviewed: Reviewed) -> None:
    reviewed.smoke()


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
def test_image_with_another_file_is_refused(reviewed: Reviewed, name: str) -> None:
    path = reviewed.image.folder / name
    path.write_bytes(path.read_bytes().replace(b"tiny", b"vast"))
    with pytest.raises(Refused, match=f"models/{name} in the image"):
        reviewed.smoke()


def test_service_with_another_model_md5_is_refused(reviewed: Reviewed) -> None:
    reviewed.image.model = "0" * 32
    with pytest.raises(Refused, match="0{32}"):
        reviewed.smoke()


def test_failed_case_is_refused_if_its_level_is_must(reviewed: Reviewed) -> None:
    reviewed.ask(expect={"at_most": 0.4})
    with pytest.raises(Refused, match="'half'"):
        reviewed.smoke()
    reviewed.ask(expect={"at_most": 0.4}, level="should")
    reviewed.smoke()


def test_every_row_of_a_case_is_sent(reviewed: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    reviewed.ask(expect=None, direction={"field": "a", "values": [0.1, 0.2, 0.5], "must_not": "fall"})
    answers = iter((0.1, 0.2, 0.4))  # the last one differs from the model's score
    monkeypatch.setattr(smoke_test, "post_json", lambda *_: {"probability": next(answers)})
    with pytest.raises(Refused, match="0.4"):
        reviewed.smoke()


def test_response_that_differs_from_the_score_is_refused(reviewed: Reviewed) -> None:
    reviewed.image.answer = 0.50001
    with pytest.raises(Refused, match="0.50001"):
        reviewed.smoke()
