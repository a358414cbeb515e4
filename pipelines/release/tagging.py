"""What the tags of a release say: the annotations, and the number of a new version."""

import json
import math
from dataclasses import asdict

from pipelines.model.signature import Signature
from pipelines.release import compatibility
from pipelines.release.approvals import Approval
from pipelines.release.target_commit import TargetCommit
from pipelines.repository.git import text_at
from pipelines.repository.release_id import PARTS
from pipelines.repository.tags import Annotation, Number, Version

_MAJOR, _MINOR, _PATCH = range(3)  # positions in a number


def annotate_version(target: TargetCommit, reference: str, signature: Signature) -> Annotation:
    """Return the annotation of a new version's tag."""
    model_md5, signature_md5 = (target.model_files[part] for part in PARTS)
    contract = compatibility.format_contract(signature)
    return Annotation(
        release=target.release_id, image=reference, model=model_md5, signature=signature_md5, contract=contract
    )


def annotate_assignment(target: TargetCommit, version: Version, reference: str, approval: Approval) -> Annotation:
    """Return the annotation of an assignment's tag, with the approval of the commit that introduced the release id."""
    return Annotation(
        release=target.release_id,
        image=reference,
        model=version.annotation.model,
        signature=version.annotation.signature,
        version=version.tag,
        main_commit=target.commit,
        **asdict(approval),
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


def choose_next_number(versions: list[Version], taken: set[Number], annotation: Annotation) -> Number:
    """Return the number of a new version, by semantic versioning as a client of the service sees it.

    Major if the contract breaks clients or cannot be read, minor for another model, patch for the same model in
    another image.

    Args:
        versions: all versions of the model, the lowest first.
        taken: the numbers of all tags, including tags that are not versions of a release.
        annotation: the new version's annotation.
    """
    part = _choose_part(versions[-1].annotation, annotation) if versions else _MINOR
    number = _increase(versions[-1].number, part) if versions else (1, 0, 0)
    while number in taken:
        number = _increase(number, part)
    return number


def _choose_part(old: Annotation, new: Annotation) -> int:
    if old.signature != new.signature and compatibility.find_breaking_change(old.contract, new.contract):
        return _MAJOR
    return _MINOR if old.model != new.model else _PATCH


def _increase(number: Number, part: int) -> Number:
    major, minor, patch, *_ = (*number[:part], number[part] + 1, 0, 0)
    return major, minor, patch
