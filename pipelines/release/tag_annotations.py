"""The annotations of a release's tags, from the target commit."""

from __future__ import annotations

import json
import math

from pipelines.model.signature import Signature
from pipelines.release import compatibility
from pipelines.release.approvals import Approval
from pipelines.release.target_commit import TargetCommit
from pipelines.repository.git import text_at
from pipelines.repository.release_id import PARTS
from pipelines.repository.tags import Annotation, Version


def annotate_version(target: TargetCommit, reference: str, signature: Signature) -> Annotation:
    """Return the annotation of a new version's tag."""
    model_md5, signature_md5 = (target.model_files[part] for part in PARTS)
    contract = compatibility.format_contract(signature)
    return Annotation(
        release=target.release_id, image=reference, model=model_md5, signature=signature_md5, contract=contract
    )


def annotate_assignment(target: TargetCommit, version: Version, reference: str, approval: Approval) -> Annotation:
    """Return the annotation of an assignment's tag.

    Args:
        approval: of the commit that introduced the release id; the target commit may be a later one that changed only
            documents.
    """
    return Annotation(
        release=target.release_id,
        image=reference,
        model=version.annotation.model,
        signature=version.annotation.signature,
        version=version.tag,
        main_commit=target.commit,
        pull_request=approval.pull_request,
        approved_by=approval.approved_by,
        bypassed=approval.bypassed,
        metrics=_read_gated_metrics(target),
    )


def _read_gated_metrics(target: TargetCommit) -> dict[str, float]:
    """Return the metrics on the test rows that a gate uses, from the commit's reports/metrics.json."""
    gates = target.params.gates
    try:
        metrics = json.loads(text_at(target.commit, "reports/metrics.json") or "{}")["test"]
        names = sorted({gates.headline, *gates.floors, *gates.regression} & set(metrics))
        return {name: value for name in names if math.isfinite(value := float(metrics[name]))}
    except (ValueError, KeyError, TypeError):
        return {}  # a report that was edited by hand must not block a release
