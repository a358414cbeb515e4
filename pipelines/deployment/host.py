"""What decides how a model runs on this host: params.yaml, SERVICE_URL and OPERATIONS_URL."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.config.serving import Serving
from pipelines.deployment import service_client


@dataclass(frozen=True)
class Host:
    """This host, for one model.

    Attributes:
        service_url: where users reach the service; its address and port are published.
        operations_url: where metrics and probes are; its address and port are published.
        folder: of the front's configuration and its socket; it outlives restarts.
        sticky_header: the header that keeps a customer on one side of a canary; None for a random draw.
    """

    model_name: str
    serving: Serving
    service_url: str
    operations_url: str
    folder: Path
    sticky_header: str | None = None

    @staticmethod
    def from_params(params: Params) -> Host:
        """Read the environment, too; InputError if a URL is invalid or the front has no image."""
        if params.serving.front_image is None:
            raise InputError(
                "params.yaml: serving.front_image is missing, the image of HAProxy by digest",
                "Take the line from params.yaml of the template.",
            )
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
        return Host(
            params.model_name,
            params.serving,
            service_client.service_url(),
            service_client.operations_url(),
            state / "mainline" / params.model_name,
            params.rollout.sticky if params.rollout else None,
        )

    @staticmethod
    def of_rollout(params: Params) -> Host | None:
        """Return this host if it may run a canary, else None."""
        is_elsewhere = params.rollout is None or isinstance(params.serving.deploy, tuple)
        return None if is_elsewhere else Host.from_params(params)

    @property
    def replicas(self) -> int:
        """How many containers a version has."""
        return self.serving.replicas or os.cpu_count() or 1

    @property
    def network(self) -> str:
        """Name of the network of front and replicas, which no other model's containers are in."""
        return f"{self.model_name}-front"
