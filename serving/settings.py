"""The service's settings: serving.json, which is part of the release, and environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from serving.errors import CannotStartError

ROOT = Path(__file__).resolve().parent.parent
_Number = TypeVar("_Number", int, float)
_Positive = Annotated[float, Meta(gt=0)]


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """serving.json: the release id and the limits of section `serving` in params.yaml."""

    release: str
    max_batch_rows: Annotated[int, Meta(ge=1)]
    max_body_mb: _Positive
    timeout_seconds: _Positive


@dataclass(frozen=True)
class Settings:
    """All settings.

    Attributes:
        models: folder of model.onnx and signature.json.
        version: such as `fraud@v1.2.0`, if the deployment sets it.
        role: of the model in this deployment, such as `champion`.
        log: folder or URL of the prediction log; None if it is off.
        salt: key of the hashes of sensitive columns.
        drain_seconds: how long the service keeps responding after SIGTERM.
    """

    release: Release
    models: Path
    version: str | None
    role: str
    log: str | None
    salt: str | None
    host: str = "0.0.0.0"  # noqa: S104 - a container has one address
    port: int = 3000
    drain_seconds: float = 1.0

    @property
    def max_body(self) -> int:
        """Bytes that a body may have."""
        return int(self.release.max_body_mb * 1_000_000)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read serving.json and the environment; an empty variable counts as absent.

    Raises:
        CannotStartError: if serving.json is missing or invalid, or a variable is.
    """
    variables = {name: value for name, value in environment.items() if value}
    log = variables.get("PREDICTION_LOG", "predictions")
    return Settings(
        release=_load_release(Path(variables.get("SERVING_JSON", ROOT / "serving.json"))),
        models=Path(variables.get("MODEL_FOLDER", ROOT / "models")),
        version=variables.get("MODEL_VERSION"),
        role=variables.get("MODEL_ROLE", "champion"),
        log=None if log == "off" else log,
        salt=variables.get("PREDICTION_LOG_SALT"),
        host=variables.get("HOST", Settings.host),
        port=_number(variables, "PORT", int, Settings.port, 2**16 - 1),
        drain_seconds=_number(variables, "DRAIN_SECONDS", float, Settings.drain_seconds, 300),
    )


def _number(
    variables: Mapping[str, str], name: str, kind: Callable[[str], _Number], default: _Number, maximum: int
) -> _Number:
    if name not in variables:
        return default
    try:
        if 0 <= (number := kind(variables[name])) <= maximum:
            return number
    except ValueError:
        pass
    raise CannotStartError(f"{name}={variables[name]} is not a number from 0 to {maximum}")


def _load_release(path: Path) -> Release:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError as error:
        raise CannotStartError(f"{path} is missing; it is written when the image is built") from error
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise CannotStartError(f"{path} is invalid: {error}") from error
