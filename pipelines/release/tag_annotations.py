"""What the tags of a release say, from the tree of its commit."""

from __future__ import annotations

import json
import math

from pipelines.model.signature import Signature
from pipelines.release import compatibility
from pipelines.release.approvals import People
from pipelines.release.target_commit import Candidate
from pipelines.repository.git import text_at
from pipelines.repository.release_id import PARTS
from pipelines.repository.tags import Annotation, Version


def of_version(found: Candidate, reference: str, signature: Signature) -> Annotation:
    """What a new version's tag says."""
    model, described = (found.files[part] for part in PARTS)
    return Annotation(
        release=found.release, image=reference, model=model, signature=described, contract=compatibility.text(signature)
    )


def of_assignment(found: Candidate, version: Version, reference: str, by: People) -> Annotation:
    """What the tag says that puts a version into production.

    Args:
        by: who let the commit onto main that brought the release; documents may have been merged since.
    """
    return Annotation(
        release=found.release,
        image=reference,
        model=version.said.model,
        signature=version.said.signature,
        version=version.tag,
        main_commit=found.commit,
        pull_request=by.pull_request,
        approved_by=by.approved_by,
        bypassed=by.bypassed,
        metrics=_metrics(found),
    )


def _metrics(found: Candidate) -> dict[str, float]:
    """The metrics on the test rows that a gate of params.yaml names, by reports/metrics.json of the commit."""
    gates = found.params.gates
    try:
        measured = json.loads(text_at(found.commit, "reports/metrics.json") or "{}")["test"]
        names = sorted({gates.headline, *gates.floors, *gates.regression} & set(measured))
        values = {name: float(measured[name]) for name in names}
        return {name: value for name, value in values.items() if math.isfinite(value)}
    except (ValueError, KeyError, TypeError):
        return {}  # a release is not held up by a report that somebody edited
