"""BentoML's entry point: `bentoml build` packs it, `python -m serving` and `bentoml serve` run it.

Importing this module loads no model. BentoML's own metrics are off, because their labels have every path that a client
requests; /metrics responds with those of metrics.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml

from serving import limits, runtime


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
        runtime.check()

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def install_signal_handlers(self) -> None:
        """Run when the server has installed its own handlers."""
        runtime.app().drain.install(asyncio.get_running_loop())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close_log(self) -> None:
        """Run when all requests have a response."""
        if (log := runtime.app().log) is not None:
            await asyncio.to_thread(log.close, limits.LOG_SECONDS)

    async def __is_ready__(self) -> bool:
        """Respond at /readyz."""
        return not runtime.app().drain.on
