"""The parts of the service, each created once in a process."""

import sys
from functools import cache
from pathlib import Path

from serving import settings as service_settings
from serving.app import App
from serving.errors import CannotStartError
from serving.metrics import Metrics
from serving.model import Model
from serving.prediction_log import QUEUE_BYTES, QUEUE_ROWS, PredictionLog
from serving.settings import Settings
from serving.sinks import open_sink

CANNOT_START = 2


@cache
def load() -> tuple[Settings, Model]:
    """Return settings and model; end the process with one line if the service cannot start."""
    try:
        settings = service_settings.load()
        if settings.prediction_log != "off":
            open_sink(settings.prediction_log)
        return settings, Model(Path(settings.model_folder))
    except CannotStartError as error:
        _print(" ".join(str(error).split()))
        raise SystemExit(CANNOT_START) from None


@cache
def app() -> App:
    """Return the application, with its log and metrics."""
    settings, model = load()
    release, signature = settings.release, model.signature
    metrics = Metrics(release.release, settings.model_version, settings.model_role, signature.classes)
    log = None
    if settings.prediction_log != "off":
        hashed = [field.name for field in signature.inputs if field.sensitive]
        if hashed and settings.prediction_log_salt is None:
            _print(f"PREDICTION_LOG_SALT is not set: the hashes of {', '.join(hashed)} can be guessed")
        # The queue holds at least five of the largest requests.
        queue_rows = max(QUEUE_ROWS, 5 * release.max_batch_rows)
        queue_bytes = max(QUEUE_BYTES, 5 * settings.max_body)
        log = PredictionLog(open_sink(settings.prediction_log), metrics, queue_rows, queue_bytes)
    return App(model, settings, log, metrics)


def _print(line: str) -> None:
    print(f"serving: {line}", file=sys.stderr, flush=True)
