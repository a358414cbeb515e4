"""`python -m serving`: run the service in this process until SIGTERM.

`bentoml serve` runs it too, below a supervisor that imports everything a second time.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from contextlib import suppress
from functools import partial
from typing import Any

_PROBES = frozenset({"/livez", "/readyz"})


class Front:
    """Passes probes, startup and shutdown to BentoML's application, and all other requests directly to the model's.

    BentoML's layers cost more than a prediction: their time-out alone keeps a timer for 60 seconds after each response.
    They also add pages, such as a second, empty description of the service.
    """

    def __init__(self, app: Any, bentoml: Any) -> None:
        self._app = app
        self._bentoml = bentoml

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to a request."""
        is_direct = scope["type"] == "http" and scope["path"] not in _PROBES
        await (self._app if is_direct else self._bentoml)(scope, receive, send)


def main() -> None:
    """Serve."""
    # uvicorn raises SIGTERM again after its shutdown; a requested end is not a failure. Until uvicorn listens, this
    # handler ends the process: for the first process of a container the kernel has no default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from serving import runtime

    runtime.check()
    # BentoML creates its home folder when it is imported, and the image's root may be read-only.
    with tempfile.TemporaryDirectory(prefix="bentoml-") as folder:
        os.environ["BENTOML_HOME"] = os.environ.get("BENTOML_HOME") or folder
        _serve()


def _serve() -> None:
    import uvicorn

    from serving import limits, runtime
    from serving.protocol import Protocol
    from serving.server import Server
    from serving.service import Predictions

    # For the type checker the decorated object is the class.
    front = Front(runtime.app(), Predictions.to_asgi(is_main=True))  # type: ignore[attr-defined]
    gc.freeze()  # the collector need not visit what exists until the end
    settings = runtime.settings()
    config = uvicorn.Config(
        front,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        loop="asyncio",
        http=partial(Protocol, settings.release.timeout_seconds),  # type: ignore[arg-type]
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.ACCEPTED_AT_ONCE,
        timeout_keep_alive=limits.IDLE_SECONDS,
    )
    server = Server(config)
    with suppress(KeyboardInterrupt):  # raised again like SIGTERM
        server.run()
    if not server.started:
        sys.exit(runtime.CANNOT_START)


if __name__ == "__main__":
    main()
