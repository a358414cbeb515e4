"""`python -m serving`: run the service in this process until SIGTERM, without importing BentoML."""

import asyncio
import gc
import signal
import sys
from contextlib import suppress

import uvicorn

from serving import limits, runtime
from serving.app import App


class Server(uvicorn.Server):
    """uvicorn, which after SIGTERM first is not ready for a while, in which load balancers notice it."""

    def __init__(self, config: uvicorn.Config, app: App, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds

    async def main_loop(self) -> None:
        """Serve until a signal, and a little longer."""
        await super().main_loop()
        self._app.is_ready = False
        await asyncio.sleep(self._drain_seconds)


def main() -> None:
    """Serve."""
    # uvicorn raises SIGTERM again after its shutdown; a requested end is not a failure. Until uvicorn listens, this
    # handler ends the process: for the first process of a container the kernel has no default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app, (settings, _) = runtime.app(), runtime.load()
    gc.freeze()  # the collector need not visit what exists until the end
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=limits.CONNECTIONS,
        timeout_keep_alive=limits.IDLE_SECONDS,
        timeout_graceful_shutdown=limits.ANSWER_SECONDS,
    )
    try:
        with suppress(KeyboardInterrupt):  # raised again like SIGTERM
            Server(config, app, settings.drain_seconds).run()
    finally:
        app.close()


if __name__ == "__main__":
    main()
