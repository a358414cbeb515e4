"""BentoML's entry: `bentoml build` packs it, `python -m serving` and `bentoml serve` run it.

Importing this file reads no model. BentoML's own counters are off, since they make a label of every path that anybody
asks for; /metrics answers with those of measures.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml

from serving import limits, runtime


async def entry(scope: Any, receive: Any, send: Any) -> None:
    """The application, which is there once the service has been made."""
    await runtime.app()(scope, receive, send)


@bentoml.asgi_app(entry, path="/", name="predictions")
@bentoml.service(
    name="predictions",
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class Predictions:
    """The model of models/ behind HTTP."""

    def __init__(self) -> None:
        runtime.app()

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def refuse_what_cannot_start() -> None:
        """Before `bentoml serve` starts its worker."""
        runtime.check()

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def take_signals(self) -> None:
        """The loop runs, and the server has its handlers."""
        runtime.app().drain.install(asyncio.get_running_loop())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close_log(self) -> None:
        """All requests have been answered."""
        log = runtime.log()
        if log is not None:
            await asyncio.to_thread(log.close, limits.LOG_SECONDS)

    async def __is_ready__(self) -> bool:
        """Answered at /readyz."""
        return not runtime.app().drain.on
