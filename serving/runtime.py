"""The parts put together, once a process."""

from __future__ import annotations

import os
import sys
from functools import cache

from serving import settings as settings_of
from serving.app import App
from serving.errors import CannotStartError
from serving.log import QUEUE_BYTES, QUEUE_ROWS, Layout, Log
from serving.measures import Measures
from serving.model import Model
from serving.sink import sink

CANNOT_START = 2


@cache
def settings() -> settings_of.Settings:
    """The settings of this process."""
    return settings_of.load()


@cache
def model() -> Model:
    """The model of this process."""
    return Model(settings().models)


@cache
def log() -> Log | None:
    """The prediction log of this process, or None where it is off."""
    given, signature, counts = settings(), model().signature, measures()
    if given.log is None:
        return None
    layout = Layout(signature, given.release.release, given.role, given.salt)
    if given.salt is None and (hashed := [field.name for field in signature.fields if field.sensitive]):
        print(
            f"serving: PREDICTION_LOG_SALT is not set: who reads the log can guess {', '.join(hashed)} from the hashes",
            file=sys.stderr,
            flush=True,
        )
    # Room for a few of the largest requests, whatever they may be.
    queue_rows, queue_bytes = max(QUEUE_ROWS, 5 * given.release.max_batch_rows), max(QUEUE_BYTES, 5 * given.max_body)
    return Log(sink(given.log), layout, counts, queue_rows, queue_bytes)


@cache
def measures() -> Measures:
    """The counters of this process."""
    given = settings()
    return Measures(given.release.release, given.version, given.role, model().signature.classes)


@cache
def app() -> App:
    """The service of this process."""
    return App(model(), settings(), log(), measures())


def port() -> int:
    """Where `python -m serving` listens."""
    given = os.environ.get("PORT") or "3000"
    if not (given.isdecimal() and int(given) < 2**16):
        raise CannotStartError(f"PORT={given} is no port")
    return int(given)


def check() -> None:
    """End the process with one line where the service could not start."""
    try:
        if (url := settings().log) is not None:
            sink(url)
        model()
        port()
    except CannotStartError as error:
        print(f"serving: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        raise SystemExit(CANNOT_START) from None
