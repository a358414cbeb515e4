"""The image alone, ahead of the release, so that a workflow can sign it in between."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import tags
from pipelines.ingest.remote import from_environment
from pipelines.progress import Progress
from pipelines.release import candidate, history, provide
from pipelines.release.registry import Registry


def image(revision: str) -> int:
    """Build and push the image of a commit, if it is nowhere, and tell the job its repository and digest."""
    progress, registry = Progress(), Registry.from_environment()
    from_environment(Path())
    found = candidate.of(revision)
    tags.fetch(found.name)
    history.must_be_on_main(found.commit)
    digest, built = provide.image(found, registry, progress)
    print(f"{registry.at(digest)} ({'built' if built else 'was there'})")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"repository={registry.repository}\ndigest={digest}\nbuilt={str(built).lower()}\n")
    return 0
