"""What clients may take of the service, besides what params.yaml says of a request."""

from __future__ import annotations

import resource

CONNECTIONS = 1_000
IDLE_SECONDS = 30  # from an answer to the whole head of the next request
HEAD_BYTES = 65_536  # of a request's first line and headers, and of what surrounds its body in chunks
BODIES = 10  # of the largest size are kept at once
# asyncio takes so many at once before it looks at any, and a few turns of the loop pass until one is counted.
ACCEPTED_AT_ONCE = 16
WAITING = 1_024  # in the kernel, to be accepted
_OTHER_FILES = 128  # of the model, the log, the sockets that listen, and connections that are not counted yet


def connections() -> int:
    """How many there may be, of which each is an open file."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, files - _OTHER_FILES))


# The end, at most: it begins DRAIN_SECONDS after the service was asked for it. Whoever stops the service must wait for
# longer than both together before he kills it.
END_SECONDS = 14.0
LATE_SECONDS = 0.5  # in which the request of a connection that was just accepted comes
LOG_SECONDS = 4.0  # for what waits to be written
WORD_SECONDS = 0.5  # for the refusal of what could not be answered in time
_REST_SECONDS = 2.0  # the batch that a thread is at, BentoML, the interpreter
ANSWER_SECONDS = END_SECONDS - LATE_SECONDS - LOG_SECONDS - 2 * WORD_SECONDS - _REST_SECONDS
