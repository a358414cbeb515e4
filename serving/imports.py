"""All that a running service imports, so that the image can hold its byte code: `python -m serving.imports`."""

import onnxruntime  # noqa: F401
import uvicorn.loops.asyncio
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import serving.__main__
import serving.app
import serving.protocol
import serving.sink  # noqa: F401
from serving.service import Predictions

Predictions.to_asgi(is_main=True)  # type: ignore[attr-defined]  # BentoML imports half of itself there
