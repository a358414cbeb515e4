"""What the service is told: serving.json, which is part of the release, and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from serving.errors import CannotStartError

_LONGEST = 300.0
ROOT = Path(__file__).resolve().parent.parent


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """serving.json: the release's identity and the limits of params.yaml's section `serving`."""

    release: str
    max_batch_rows: int
    max_body_mb: float
    timeout_seconds: float


@dataclass(frozen=True)
class Settings:
    """All settings.

    Attributes:
        models: folder of model.onnx and signature.json.
        version: such as `fraud@v1.2.0`, where the deployment tells it.
        role: what the model is here, such as `champion`.
        log: folder or URL of the prediction log, or None where it is off.
        salt: key of the hashes of sensitive columns.
        drain_seconds: for which it goes on to answer after it was asked to end.
    """

    release: Release
    models: Path
    version: str | None
    role: str
    log: str | None
    salt: str | None
    drain_seconds: float = 1.0

    @property
    def max_body(self) -> int:
        """Bytes of a body at most."""
        return int(self.release.max_body_mb * 1_000_000)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read serving.json and the environment; an empty variable counts as absent.

    Raises:
        CannotStartError: if serving.json is missing or wrong.
    """
    given = {name: value for name, value in environment.items() if value}
    path = Path(given.get("SERVING_JSON", ROOT / "serving.json"))
    log = given.get("PREDICTION_LOG", "predictions")
    return Settings(
        release=_release(path),
        models=Path(given.get("MODEL_FOLDER", ROOT / "models")),
        version=given.get("MODEL_VERSION"),
        role=given.get("MODEL_ROLE", "champion"),
        log=None if log == "off" else log,
        salt=given.get("PREDICTION_LOG_SALT"),
        drain_seconds=_seconds("DRAIN_SECONDS", given.get("DRAIN_SECONDS", "1")),
    )


def _seconds(name: str, text: str) -> float:
    try:
        if 0 <= (seconds := float(text)) <= _LONGEST:
            return seconds
    except ValueError:
        pass
    raise CannotStartError(f"{name}={text} is not a number of seconds from 0 to {_LONGEST:g}")


def _release(path: Path) -> Release:
    try:
        release = msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError as error:
        raise CannotStartError(f"{path} is missing; it is written when the image is built") from error
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise CannotStartError(f"{path} is wrong: {error}") from error
    if release.max_batch_rows < 1 or release.max_body_mb <= 0 or release.timeout_seconds <= 0:
        raise CannotStartError(f"{path} is wrong: its limits must be above zero")
    return release
