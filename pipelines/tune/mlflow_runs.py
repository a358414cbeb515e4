"""The trials of a search as runs of the MLflow server of MLFLOW_TRACKING_URI; without one nothing is logged."""

import os
from typing import Any

import optuna

from pipelines.cli.errors import first_line
from pipelines.cli.progress import Progress
from pipelines.config.params import Params
from pipelines.model import mlflow_model
from pipelines.tune import study

SEARCH, TRIAL, PARENT = "search", "trial", "mlflow.parentRunId"


def log(search: optuna.Study, params: Params, name: str, progress: Progress) -> str | None:
    """Log each trial that is not there yet, below one run for the search; return why that failed, or None."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    mlflow_model.prepare()
    try:
        with progress.step("Logging to MLflow"):
            _log(search, params, name)
    except Exception as error:  # a server that is down does not change what was found
        return f"Not logged to MLflow: {first_line(error)}"
    return None


def _log(search: optuna.Study, params: Params, name: str) -> None:
    import mlflow
    from mlflow.entities import Metric, Param

    mlflow_model.silence_loggers()
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    client = mlflow.MlflowClient()
    experiment = mlflow.set_experiment(params.model_name).experiment_id
    of_search = f"tags.{SEARCH} = '{search.study_name}'"
    runs: list[Any] = mlflow.search_runs([experiment], of_search, output_format="list")  # of all pages
    parents = [run for run in runs if TRIAL not in run.data.tags]
    logged = {run.data.tags[TRIAL] for run in runs if TRIAL in run.data.tags}
    tags = {SEARCH: search.study_name}
    parent = parents[0] if parents else client.create_run(experiment, tags=tags, run_name=f"search {name}")
    for trial in study.finished(search):
        if str(trial.number) in logged:
            continue
        start, end = (
            (moment.timestamp() if moment else 0.0) for moment in (trial.datetime_start, trial.datetime_complete)
        )
        own = {**tags, TRIAL: str(trial.number), PARENT: parent.info.run_id}
        run = client.create_run(experiment, int(start * 1000), own, run_name=f"{name} trial {trial.number + 1}").info
        values = [Param(key, str(value)) for key, value in trial.user_attrs.get(study.VALUES, {}).items()]
        scores = [] if trial.value is None else [Metric(params.selection.metric, trial.value, int(end * 1000), 0)]
        client.log_batch(run.run_id, metrics=scores, params=values)
        client.set_terminated(run.run_id, "FAILED" if trial.value is None else "FINISHED", int(end * 1000))
    best = study.best(search)
    if best is not None and best.value is not None:
        client.log_metric(parent.info.run_id, params.selection.metric, best.value)
    client.set_terminated(parent.info.run_id)
