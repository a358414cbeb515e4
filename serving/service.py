"""BentoML's entry point: `bentoml build` packs it, and `bentoml serve` runs it.

`python -m serving` runs the same application without BentoML, in less time and memory. Importing this module loads no
model. BentoML's own metrics are off, because their labels have every path that a client requests; /metrics responds
with those of metrics.py.
"""

import asyncio
from typing import Any

import bentoml

from serving import runtime


async def respond(scope: Any, receive: Any, send: Any) -> None:
    """Respond with the application, which is created with the service."""
    await runtime.app()(scope, receive, send)


@bentoml.asgi_app(respond, path="/", name="predictions")
@bentoml.service(
    name="predictions",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class Predictions:
    """The model of models/ over HTTP."""

    def __init__(self) -> None:
        runtime.app()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check_files_and_settings() -> None:
        """Run before `bentoml serve` starts its worker."""
        runtime.load()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close_log(self) -> None:
        """Run when all requests have a response."""
        await asyncio.to_thread(runtime.app().close)
