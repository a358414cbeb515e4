"""What clients may take of the service, besides what params.yaml says of a request."""

from __future__ import annotations

import resource

CONNECTIONS = 1_000
IDLE_SECONDS = 30  # from an answer to the whole head of the next request
# asyncio takes so many at once before it looks at any, and a few turns of the loop pass until one is counted.
ACCEPTED_AT_ONCE = 16
WAITING = 1_024  # in the kernel, to be accepted
_OTHER_FILES = 128  # of the model, the log, the sockets that listen, and connections that are not counted yet


def connections() -> int:
    """How many there may be, of which each is an open file."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, files - _OTHER_FILES))
