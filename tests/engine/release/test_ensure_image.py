"""What a release asks for before it trains or builds."""

import shutil
from typing import Any

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.release import ensure_image
from pipelines.release.image_registry import ImageRegistry


@pytest.fixture
def image_registry(monkeypatch: pytest.MonkeyPatch) -> ImageRegistry:
    """An image registry and an engine that respond."""
    monkeypatch.setattr(ImageRegistry, "find_digest", lambda *_: None)
    monkeypatch.setattr(ensure_image, "docker", lambda *_: "/var/lib/docker-of-no-user\n")
    return ImageRegistry("127.0.0.1:9/fraud")


def test_engine_registry_and_disk_that_respond_pass(image_registry: ImageRegistry) -> None:
    ensure_image._require_engine_registry_and_disk(image_registry)


@pytest.mark.parametrize("what", ["engine", "image registry", "disk"])
def test_what_is_missing_is_told_before_the_model_is_verified_or_built(
    image_registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*_: Any) -> Any:
        raise Unreachable(f"no {what}", "Start it.")

    monkeypatch.setattr(ensure_image, "_verify_model", None)  # a call would fail
    if what == "engine":
        monkeypatch.setattr(ensure_image, "docker", refuse)
    elif what == "image registry":
        monkeypatch.setattr(ImageRegistry, "find_digest", refuse)
    else:
        usage = shutil.disk_usage("/")._replace(free=10**9)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unreachable, match="1.0 GB free" if what == "disk" else f"no {what}") as error:
        ensure_image.ensure_image(None, image_registry, None)
    assert error.value.code == 3
