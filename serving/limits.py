"""Limits of clients and of the shutdown, besides those of params.yaml."""

from __future__ import annotations

import resource

CONNECTIONS = 1_000
IDLE_SECONDS = 30  # from a response to the whole head of the next request
HEAD_BYTES = 65_536  # of a request's first line and headers, and of the framing of a chunked body
BODIES = 10  # bodies of the largest size that are kept at once
# asyncio accepts so many at once, and a few turns of the loop pass until the protocol counts them.
ACCEPTED_AT_ONCE = 16
WAITING = 1_024  # connections that wait in the kernel
_OTHER_FILES = 128  # of the model, the log, listening sockets, and connections that are not counted yet


def connections() -> int:
    """Return how many connections there may be; each is an open file."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, files - _OTHER_FILES))


# The shutdown takes at most END_SECONDS. It begins DRAIN_SECONDS after SIGTERM; whatever stops the service must wait
# longer than both together before it kills the process.
END_SECONDS = 14.0
LATE_SECONDS = 0.5  # for the request of a connection that was just accepted
LOG_SECONDS = 4.0  # for writing the queue of the prediction log
WORD_SECONDS = 0.5  # for the 503 of requests that have no response in time
_REST_SECONDS = 2.0  # for the batch that is being scored, BentoML and the interpreter
ANSWER_SECONDS = END_SECONDS - LATE_SECONDS - LOG_SECONDS - 2 * WORD_SECONDS - _REST_SECONDS
