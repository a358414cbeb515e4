"""Imports all that a running service does, to compile it into the image: `python -m serving.imports`."""

import onnxruntime  # noqa: F401
import uvicorn.loops.auto
import uvicorn.protocols.http.httptools_impl  # noqa: F401

import serving.__main__
import serving.sinks  # noqa: F401
