"""The page of a search: what changed, the best trials, what failed, and Optuna's plots."""

import base64
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from markupsafe import Markup

from pipelines.cli.files import write_text
from pipelines.config.metrics import METRICS, label
from pipelines.config.params import Params
from pipelines.pages.rendering import environment
from pipelines.pages.safe_text import safe_in_page
from pipelines.tune import study
from pipelines.tune.space import current_values

FOLDER = Path("reports/tune")
MOST = 10  # trials and failures that are listed
PLOTS = {
    "plot_optimization_history": "Score of each trial",
    "plot_param_importances": "Importance of the parameters",
    "plot_slice": "Score by parameter",
    "plot_parallel_coordinate": "Trials across the parameters",
}
WIDE = {"plot_slice": (14, 3.4), "plot_parallel_coordinate": (11, 4)}  # inches of plots with a part for each parameter


def path_of(name: str) -> Path:
    """Return the path of a candidate's page."""
    return FOLDER / f"{name}.html"


def write(search: optuna.Study, params: Params, name: str) -> None:
    """Write the page of a search in which a trial has a score."""
    metric, trials = params.selection.metric, study.finished(search)
    scored = [trial for trial in trials if trial.value is not None]
    scored.sort(key=lambda trial: (trial.value or 0.0) * (1 if METRICS[metric].lower_is_better else -1))
    text = (
        environment(Path(__file__).parent / "templates", safe_in_page)
        .get_template("search.html.j2")
        .render(
            name=name,
            model_name=params.model_name,
            metric=label(metric),
            lower=METRICS[metric].lower_is_better,
            baseline=search.user_attrs[study.BASELINE],
            best=scored[0],
            values=scored[0].user_attrs[study.VALUES],
            current=current_values(params.candidates[name], params.search.spaces[name]),
            top=scored[:MOST],
            trials=len(trials),
            failures=[trial for trial in trials if trial.value is None],
            most=MOST,
            taken=study.seconds_of(trials),
            plots=list(_plots(search, label(metric))),
        )
    )
    write_text(path_of(name), text)


def _plots(search: optuna.Study, target: str) -> Iterator[tuple[str, Markup, bool]]:
    """Yield title and image of each plot that the trials are enough for, and whether it is a wide one."""
    import matplotlib

    matplotlib.use("agg")  # needs no display
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as drawn

    for function, title in PLOTS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls this module experimental
            try:
                axes = getattr(drawn, function)(search, target_name=target)
                figure = np.ravel(axes)[0].figure
                figure.set_size_inches(*WIDE.get(function, (6.4, 3.6)))
                yield title, _image(figure), function in WIDE
            except (ValueError, RuntimeError):
                continue  # too few trials, or all have one score
            finally:
                pyplot.close("all")


def _image(figure: Any) -> Markup:
    """Return a plot as the address of an image that holds it; as an image it can run nothing."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    from_one, plain = (FuncFormatter(lambda number, _, more=more: f"{number + more:g}") for more in (1, 0))
    # The page has the title, and its tables count trials from 1.
    figure.suptitle("")
    for axis in figure.axes:
        for place in ("left", "center", "right"):
            axis.set_title("", loc=place)
        if legend := axis.get_legend():
            legend.remove()
        if axis.get_xscale() == "log":  # a short axis may hold no power of ten
            axis.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=plain)
            axis.xaxis.set_minor_formatter(NullFormatter())
        for counted, name in ((axis.xaxis, axis.get_xlabel()), (axis.yaxis, axis.get_ylabel())):
            if name == "Trial":
                counted.set(major_locator=MaxNLocator(integer=True), major_formatter=from_one)
    out = io.BytesIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    return Markup("data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode())  # noqa: S704
