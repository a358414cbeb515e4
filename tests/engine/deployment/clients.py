"""Clients that keep asking a service for predictions."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def load(port: int, body: bytes, clients: int, at_least: int) -> Iterator[list[str]]:
    """Let clients ask during a block, and after it until `at_least` responses; yield what failed.

    Half of the clients keep their connection, the others open one for each request.
    """
    failures: list[str] = []
    counts = [0] * clients
    end = threading.Event()

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not end.is_set():
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                response = connection.getresponse()
                content = response.read()
                if response.status != 200 or "release" not in json.loads(content):
                    failures.append(f"{response.status} {content[:200]!r}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(f"{type(error).__name__} {error}")
                connection.close()
            counts[client] += 1
            if client % 2:
                connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield failures
        while sum(counts) < at_least and not failures:
            time.sleep(0.05)
    finally:
        end.set()
        for thread in threads:
            thread.join()
