"""`python -m serving`: run the service in this process, until SIGTERM. HOST and PORT say where.

`bentoml serve` runs it as well, beneath a supervisor that imports everything a second time.
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
    """Hands probes, start and end to BentoML's application, and all else straight to the model's.

    What BentoML puts around an application costs more than a prediction does; its time-out alone keeps a timer of 60
    seconds for each request that has been answered long ago. It has pages of its own besides, such as another, empty
    description of the service.
    """

    def __init__(self, app: Any, bentoml: Any) -> None:
        self._app = app
        self._bentoml = bentoml

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        mine = scope["type"] == "http" and scope["path"] not in _PROBES
        await (self._app if mine else self._bentoml)(scope, receive, send)


def main() -> None:
    """Serve."""
    # uvicorn raises the signal again when all has been answered and written: the end that was asked for is no failure.
    # Until it listens, this also ends the first process of a container, which the kernel has no other handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from serving import runtime

    runtime.check()
    # A folder of BentoML's own, which it makes when it is imported: the image's root may be read-only.
    with tempfile.TemporaryDirectory(prefix="bentoml-") as folder:
        os.environ["BENTOML_HOME"] = os.environ.get("BENTOML_HOME") or folder
        _serve()


def _serve() -> None:
    import uvicorn

    from serving import limits, runtime
    from serving.protocol import Protocol
    from serving.server import Server
    from serving.service import Predictions

    # The decorator gives an object of BentoML's that the type checker takes for the class.
    front = Front(runtime.app(), Predictions.to_asgi(is_main=True))  # type: ignore[attr-defined]
    gc.freeze()  # what is there by now stays: the collector need not visit it again and again
    config = uvicorn.Config(
        front,
        host=os.environ.get("HOST") or "0.0.0.0",  # noqa: S104 - a container has one address
        port=runtime.port(),
        lifespan="on",
        loop="asyncio",
        http=partial(Protocol, runtime.settings().release.timeout_seconds),  # type: ignore[arg-type]
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.ACCEPTED_AT_ONCE,
        timeout_keep_alive=limits.IDLE_SECONDS,
    )
    server = Server(config)
    with suppress(KeyboardInterrupt):  # raised again as well
        server.run()
    if not server.started:
        sys.exit(runtime.CANNOT_START)


if __name__ == "__main__":
    main()
