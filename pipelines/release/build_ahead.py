"""Build and push the image before the release, so that a workflow can sign it in between."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.cli.progress import Progress
from pipelines.release import deploy, ensure_image, main_history
from pipelines.release.image_registry import ImageRegistry
from pipelines.release.target_commit import read_target_commit
from pipelines.repository import tags
from pipelines.repository.dvc_remote import set_remote_from_environment


def build_ahead(revision: str) -> int:
    """Build and push the image of a commit unless it exists, and set the job's outputs to its repository and digest.

    Where the service has no host, no image is built and both outputs are empty.
    """
    target = read_target_commit(revision)
    if deploy.report_missing_host(target.params):
        _write_job_outputs("", "", False)
        return 0
    progress, image_registry = Progress(), ImageRegistry.from_environment()
    set_remote_from_environment(Path())
    tags.fetch_tags(target.model_name)
    main_history.require_on_main(target.commit)
    digest, built = ensure_image.ensure_image(target, image_registry, progress)
    print(f"{image_registry.reference(digest)} ({'built' if built else 'existed already'})")
    _write_job_outputs(image_registry.repository, digest, built)
    return 0


def _write_job_outputs(repository: str, digest: str, built: bool) -> None:
    """Set the outputs of the job's step; outside of GitHub Actions, do nothing."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"repository={repository}\ndigest={digest}\nbuilt={str(built).lower()}\n")
