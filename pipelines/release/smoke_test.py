"""Smoke test: run the image before its deployment; it must hold the reviewed files and give the reviewed responses."""

import math
import os
from pathlib import Path
from threading import Thread

from pipelines.cli.errors import Refused
from pipelines.cli.scratch import scratch_folder
from pipelines.deployment.containers import PORT, Container, docker
from pipelines.deployment.service_client import get_info, post_json, wait_for_release
from pipelines.model import critical_cases
from pipelines.model.critical_cases import Case
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature
from pipelines.release.image import export_files
from pipelines.release.target_commit import TargetCommit
from pipelines.repository.dvc import file_md5
from pipelines.repository.git import object_at

READY_SECONDS = 60.0
TOLERANCE = 1e-6  # relative; the same file in the same runtime, possibly on another processor
_LABEL = "mainline.smoke"  # its value is the id of the process that started the container


def run_smoke_test(reference: str, target: TargetCommit) -> Signature:
    """Run an image, compare its model files with the reviewed ones, and send it the critical cases over HTTP.

    Returns the signature of the model in the image. Raises Refused if the service does not start, or files or responses
    differ from the reviewed ones.
    """
    template = f'{{{{.ID}}}} {{{{.Label "{_LABEL}"}}}}'
    for line in docker("ps", "--all", f"--filter=label={_LABEL}", f"--format={template}").splitlines():
        container_id, _, process_id = line.partition(" ")
        if not Path(f"/proc/{process_id}").exists():  # the run was killed
            Container(container_id).remove()
    options = (f"--publish=127.0.0.1::{PORT}", f"--label={_LABEL}={os.getpid()}", "--env=PREDICTION_LOG=off")
    container = Container.run(reference, *options)
    try:
        with scratch_folder("smoke") as folder:
            for name, reviewed_md5 in target.model_files.items():  # while the service starts
                copy = folder / Path(name).name
                container.copy_out(f"/app/{name}", copy)  # the folder of serving/Dockerfile.j2
                if (md5 := file_md5(copy)) != reviewed_md5:
                    raise _smoke_test_error(
                        f"{name} in the image has md5 {md5}, and the reviewed one has {reviewed_md5}"
                    )
            scorer = Scorer(folder / "model.onnx", folder / "signature.json", threads=1)
            url = container.address()
            if not url or not wait_for_release(url, target.release_id, READY_SECONDS, container):
                output = container.logs() or "it printed nothing"
                raise _smoke_test_error(f"{reference} does not respond as {target.release_id}: {output}")
            if (served_md5 := get_info(url).get("model")) != target.model_files["models/model.onnx"]:
                raise _smoke_test_error(f"/info of the service has another md5 of the model: {served_md5}")
            if object_at(target.commit, str(critical_cases.FOLDER)):
                export_files(target.commit, [str(critical_cases.FOLDER)], folder)
            for case in critical_cases.load(folder / critical_cases.FOLDER):
                _check_case(url, scorer, case)
            return scorer.signature
    finally:
        # In a thread: the deployment need not wait for it, only the end of the process does.
        Thread(target=container.remove).start()


def _check_case(url: str, scorer: Scorer, case: Case) -> None:
    """Compare the model's scores with the case's expectation, and the service's responses with the model's scores."""
    result = critical_cases.judge(scorer, case)
    if not result.passed and result.level == "must":
        got = f"expected {result.expected}, got {result.probability}"
        raise _smoke_test_error(f"critical case {case.name!r} failed: {got}")
    if result.probability is None:
        return  # the signature rejects the row, which only a `should` case may contain
    field = "value" if scorer.signature.threshold is None else "probability"
    for row in critical_cases.requests(case):
        score, response = scorer.score_row(row), post_json(f"{url}/predict", row)[field]
        if not math.isclose(response, score, rel_tol=TOLERANCE, abs_tol=1e-9):
            difference = f"the service responds with {response}, the model's score is {score}"
            raise _smoke_test_error(f"critical case {case.name!r}: {difference}")


def _smoke_test_error(message: str) -> Refused:
    return Refused(f"smoke test: {message}", "Nothing was deployed; production is as it was.")
