"""The image alone, ahead of the release, so that a workflow can sign it in between."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines import tags
from pipelines.ingest.remote import from_environment
from pipelines.progress import Progress
from pipelines.release import candidate, deploy, history, provide
from pipelines.release.registry import Registry


def image(revision: str) -> int:
    """Build and push the image of a commit, if it is nowhere, and give the job its repository and digest.

    Where the service has no host there is no image, and the job gets neither.
    """
    found = candidate.of(revision)
    if deploy.report_missing_host(found.params):
        _output("", "", False)
        return 0
    progress, registry = Progress(), Registry.from_environment()
    from_environment(Path())
    tags.fetch(found.name)
    history.must_be_on_main(found.commit)
    digest, built = provide.image(found, registry, progress)
    print(f"{registry.at(digest)} ({'built' if built else 'was there'})")
    _output(registry.repository, digest, built)
    return 0


def _output(repository: str, digest: str, built: bool) -> None:
    """Set the outputs of the job's step, where there is a job."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"repository={repository}\ndigest={digest}\nbuilt={str(built).lower()}\n")
