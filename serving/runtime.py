"""The parts of the service, each created once in a process."""

from __future__ import annotations

import sys
from functools import cache

from serving import settings as service_settings
from serving.app import App
from serving.errors import CannotStartError
from serving.log_columns import LogColumns
from serving.metrics import Metrics
from serving.model import Model
from serving.prediction_log import QUEUE_BYTES, QUEUE_ROWS, PredictionLog
from serving.settings import Settings
from serving.sinks import open_sink

CANNOT_START = 2


@cache
def settings() -> Settings:
    """Return the settings."""
    return service_settings.load()


@cache
def model() -> Model:
    """Return the model."""
    return Model(settings().models)


@cache
def metrics() -> Metrics:
    """Return the metrics."""
    return Metrics(settings().release.release, settings().version, settings().role, model().signature.classes)


@cache
def log() -> PredictionLog | None:
    """Return the prediction log, or None if it is off."""
    options, signature = settings(), model().signature
    if options.log is None:
        return None
    hashed = [field.name for field in signature.inputs if field.sensitive]
    if options.salt is None and hashed:
        print(
            f"serving: PREDICTION_LOG_SALT is not set: the hashes of {', '.join(hashed)} can be guessed",
            file=sys.stderr,
            flush=True,
        )
    columns = LogColumns(signature, options.release.release, options.role, options.salt)
    # The queue holds at least five of the largest requests.
    queue_rows = max(QUEUE_ROWS, 5 * options.release.max_batch_rows)
    queue_bytes = max(QUEUE_BYTES, 5 * options.max_body)
    return PredictionLog(open_sink(options.log), columns, metrics(), queue_rows, queue_bytes)


@cache
def app() -> App:
    """Return the application."""
    return App(model(), settings(), log(), metrics())


def check() -> None:
    """End the process with one line if the service cannot start."""
    try:
        if (url := settings().log) is not None:
            open_sink(url)
        model()
    except CannotStartError as error:
        print(f"serving: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(CANNOT_START) from None
