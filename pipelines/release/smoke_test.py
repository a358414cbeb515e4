"""The image, run and asked before anybody relies on it: the reviewed bytes, the reviewed answers."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from threading import Thread

from pipelines.cli.errors import Refused
from pipelines.model import critical_cases
from pipelines.model.critical_cases import Case, CriticalResult
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature
from pipelines.release.container import PORT, Container, docker, get, post, wait
from pipelines.release.image import export
from pipelines.release.target_commit import Candidate
from pipelines.repository.dvc import file_md5
from pipelines.repository.git import object_at

READY_SECONDS = 60.0
TOLERANCE = 1e-6  # relative; the same file in the same runtime, on another processor perhaps
_LABEL = "mainline.smoke"  # its value is the process that started the container
_ROOT = "/app"  # in the image, by serving/Dockerfile.j2


def smoke(reference: str, found: Candidate) -> Signature:
    """Run an image and ask it over HTTP whatever the review asked the file.

    Args:
        reference: REPOSITORY@DIGEST.

    Returns:
        The signature of the model in the image.

    Raises:
        Refused: if it does not come up, holds other files than the reviewed ones, or answers otherwise.
    """
    _remove_forgotten()
    container = Container.run(
        reference,
        f"--publish=127.0.0.1::{PORT}",
        f"--label={_LABEL}={os.getpid()}",
        environment={"PREDICTION_LOG": "off"},
    )
    try:
        with tempfile.TemporaryDirectory(prefix="smoke-") as scratch:
            folder = Path(scratch)
            scorer = _same_files(container, found, folder)  # while it starts
            url = container.address()
            if not url or not wait(url, found.release, READY_SECONDS, alive=[container]):
                said = container.logs() or "it says nothing"
                raise _refused(f"{reference} does not answer as {found.release}: {said}")
            if (said := get(f"{url}/info")["model"]) != found.files["models/model.onnx"]:
                raise _refused(f"the service says that its model has md5 {said}")
            if object_at(found.commit, str(critical_cases.FOLDER)):
                export(found.commit, [str(critical_cases.FOLDER)], folder)
            for case in critical_cases.load(folder / critical_cases.FOLDER):
                _ask(url, scorer, case)
            return scorer.signature
    finally:
        Thread(target=container.remove).start()  # the deployment need not wait for it; the end of the process does


def _remove_forgotten() -> None:
    """Remove containers of runs that were killed."""
    for line in docker(
        "ps", "--all", "--filter", f"label={_LABEL}", f'--format={{{{.ID}}}} {{{{.Label "{_LABEL}"}}}}'
    ).splitlines():
        name, _, process = line.partition(" ")
        if not Path(f"/proc/{process}").exists():
            Container(name).remove()


def _same_files(container: Container, found: Candidate, folder: Path) -> Scorer:
    """Copy the model out of the running container, compare it with dvc.lock, and load it."""
    for name, md5 in found.files.items():
        copy = folder / Path(name).name
        container.copy_out(f"{_ROOT}/{name}", copy)
        if (there := file_md5(copy)) != md5:
            raise _refused(f"{name} in the image has md5 {there}, and the reviewed one has {md5}")
    return Scorer(folder / "model.onnx", folder / "signature.json", threads=1)


def _ask(url: str, scorer: Scorer, case: Case) -> None:
    """Compare the service's answers with the file's, and the file's with what the case expects."""
    judged: CriticalResult = critical_cases.judge(scorer, case)
    if not judged.passed and judged.level == "must":
        raise _refused(f"critical case {case.name!r} fails: expected {judged.expected}, got {judged.probability}")
    if judged.probability is None:
        return  # a row that the signature refuses, which only a `should` may hold
    field = "value" if scorer.signature.threshold is None else "probability"
    for row in critical_cases.requests(case):
        expected = scorer.score_row(row)
        answer = post(f"{url}/predict", row)
        if not math.isclose(answer[field], expected, rel_tol=TOLERANCE, abs_tol=1e-9):
            raise _refused(f"critical case {case.name!r}: the service answers {answer[field]}, the file {expected}")


def _refused(what: str) -> Refused:
    return Refused(f"smoke test: {what}", "Nothing was deployed; production is as it was.")
