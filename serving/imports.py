"""Imports all that a running service does, to compile it into the image: `python -m serving.imports`."""

import onnxruntime  # noqa: F401
import uvicorn.loops.asyncio
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import serving.__main__
import serving.app
import serving.protocol
import serving.sinks  # noqa: F401
from serving.service import Predictions

Predictions.to_asgi(is_main=True)  # type: ignore[attr-defined]  # imports half of BentoML
