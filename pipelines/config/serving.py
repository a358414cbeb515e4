"""Sections `serving`, `release` and `retention`: the service, its release, and what is kept."""

import json
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import Count, Positive, Strict

LIMITS = ("max_batch_rows", "max_body_mb", "timeout_seconds")  # of the service, in serving.json
ImageByDigest = Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]


class Serving(Strict):
    """The image's base and limits, and how a release is deployed.

    Attributes:
        base_image: the image with Python, by digest.
        max_batch_rows: a request of more rows is refused.
        max_body_mb: a larger request is refused.
        timeout_seconds: a request that takes longer is aborted.
        deploy: a command as a list of words, `pull` for hosts that reconcile by themselves, or null for this host.
            For a rollout the words name {ROLE} and {WEIGHT}.
        front_image: HAProxy, which stands before the replicas.
        replicas: containers of each version; null for one a core.
        keep_previous: whether the version before stays started, for the case that all of production fails.
        tls: path of a PEM file with certificate and key.
        keys: path of a file with the SHA-256 of each access key and its name.
        fallback: what `/predict` answers while no replica can, such as `{decision: false}`; null for an error.
    """

    base_image: ImageByDigest
    max_batch_rows: Count
    max_body_mb: Positive
    timeout_seconds: Positive
    deploy: Annotated[tuple[str, ...], Field(min_length=1)] | Literal["pull"] | None = None
    # Of the front and its replicas on a host with Docker: `deploy` is null or `pull`.
    front_image: ImageByDigest | None = None
    replicas: Count | None = None
    keep_previous: bool = False
    tls: str | None = None
    keys: str | None = None
    fallback: dict[str, bool | float | str] | None = None

    @property
    def splits_requests(self) -> bool:
        """Whether `deploy` is a command that names its role and weight, and so can give a canary its share."""
        words = " ".join(self.deploy) if isinstance(self.deploy, tuple) else ""
        return "{ROLE}" in words and "{WEIGHT}" in words

    @property
    def is_pulled(self) -> bool:
        """Whether a release leaves the service alone, because the hosts of the service pull it."""
        return self.deploy == "pull"

    def to_json(self, release_id: str) -> str:
        """Return the text of serving.json, from which the service reads its release id and limits."""
        return json.dumps({"release": release_id, **self.model_dump(include=set(LIMITS))}, indent=2) + "\n"


class Release(Strict):
    """How a new release is built.

    Attributes:
        rebuild: whether a release without a version trains its model again before anything is built.
    """

    rebuild: bool = False


class Retention(Strict):
    """Which versions are kept.

    Attributes:
        keep_last: how many of the newest versions are kept, besides all that were ever in production.
    """

    keep_last: Count
