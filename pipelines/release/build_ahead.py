"""The image alone, ahead of the release, so that a workflow can sign it in between."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.cli.progress import Progress
from pipelines.release import deploy, ensure_image, main_history, target_commit
from pipelines.release.image_registry import Registry
from pipelines.repository import tags
from pipelines.repository.dvc_remote import set_remote_from_environment


def image(revision: str) -> int:
    """Build and push the image of a commit, if it is nowhere, and give the job its repository and digest.

    Where the service has no host there is no image, and the job gets neither.
    """
    found = target_commit.of(revision)
    if deploy.report_missing_host(found.params):
        _output("", "", False)
        return 0
    progress, registry = Progress(), Registry.from_environment()
    set_remote_from_environment(Path())
    tags.fetch(found.name)
    main_history.must_be_on_main(found.commit)
    digest, built = ensure_image.image(found, registry, progress)
    print(f"{registry.at(digest)} ({'built' if built else 'was there'})")
    _output(registry.repository, digest, built)
    return 0


def _output(repository: str, digest: str, built: bool) -> None:
    """Set the outputs of the job's step, where there is a job."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"repository={repository}\ndigest={digest}\nbuilt={str(built).lower()}\n")
