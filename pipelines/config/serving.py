"""Sections `serving`, `release` and `retention`: the service, its release, and what is kept."""

import json
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import Count, Positive, Strict

# The keys of `serving` that change the image, and therefore the release id. The others only decide where and how the
# image runs.
LIMITS = ("max_batch_rows", "max_body_mb", "timeout_seconds")
IN_RELEASE_ID = ("base_image", *LIMITS)


class Serving(Strict):
    """The image's base and limits, and how a release is deployed."""

    base_image: Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]
    max_batch_rows: Count
    max_body_mb: Positive
    timeout_seconds: Positive
    deploy: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["pull"] | None = None

    @property
    def is_pulled(self) -> bool:
        """Whether a release leaves the service alone, because the hosts of the service pull it."""
        return self.deploy == "pull"

    def to_json(self, release_id: str) -> str:
        """Return the text of serving.json, from which the service reads its release id and limits."""
        return json.dumps({"release": release_id, **self.model_dump(include=set(LIMITS))}, indent=2) + "\n"


class Release(Strict):
    """Whether a release without a version trains its model again before anything is built."""

    rebuild: bool = False


class Retention(Strict):
    """How many versions are kept besides all that were ever in production."""

    keep_last: Count
