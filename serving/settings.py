"""The service's settings: serving.json, which is part of the release, and environment variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from serving.errors import CannotStartError

ROOT = Path(__file__).resolve().parent.parent
_Positive = Annotated[float, Meta(gt=0)]


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """serving.json: the release id and the limits of section `serving` in params.yaml."""

    release: str
    max_batch_rows: Annotated[int, Meta(ge=1)]
    max_body_mb: _Positive
    timeout_seconds: _Positive


class Settings(msgspec.Struct, frozen=True, rename="upper"):
    """All settings; each but `release` is the environment variable of its name.

    Attributes:
        model_folder: of model.onnx and signature.json.
        model_version: such as `fraud@v1.2.0`, if the deployment sets it.
        model_role: in this deployment, such as `champion`.
        prediction_log: a folder, a bucket's URL, or `off`.
        prediction_log_salt: key of the hashes of sensitive columns.
        drain_seconds: how long the service keeps responding after SIGTERM.
    """

    release: Release
    model_folder: str = str(ROOT / "models")
    model_version: str | None = None
    model_role: str = "champion"
    prediction_log: str = "predictions"
    prediction_log_salt: str | None = None
    host: str = "0.0.0.0"  # noqa: S104 - a container has one address
    port: Annotated[int, Meta(ge=0, le=65535)] = 3000
    drain_seconds: Annotated[float, Meta(ge=0, le=300)] = 1.0

    @property
    def max_body(self) -> int:
        """Bytes that a body may have."""
        return int(self.release.max_body_mb * 1_000_000)


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read serving.json and the environment; an empty variable counts as absent.

    Raises:
        CannotStartError: if serving.json is missing, or it or a variable is invalid.
    """
    variables = {name: value for name, value in environment.items() if value}
    path = Path(variables.get("SERVING_JSON", ROOT / "serving.json"))
    try:
        release = msgspec.json.decode(path.read_bytes(), type=Release)
    except FileNotFoundError as error:
        raise CannotStartError(f"{path} is missing; it is written when the image is built") from error
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise CannotStartError(f"{path} is invalid: {error}") from error
    try:
        return msgspec.convert({**variables, "RELEASE": release}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise CannotStartError(f"an environment variable is invalid: {error}") from error
