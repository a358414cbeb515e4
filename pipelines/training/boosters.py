"""LightGBM and XGBoost as candidates: parameters, defaults and ONNX converters.

Both libraries are imported only if a candidate uses them.
"""

import inspect
import sys
from collections.abc import Callable, Container, Mapping
from functools import cache
from typing import Any

# Equal files on any machine, and as many threads as OMP_NUM_THREADS says: by default LightGBM takes all cores.
LIGHTGBM_DEFAULTS = {"deterministic": True, "force_row_wise": True, "n_jobs": 0, "verbosity": -1}
# XGBoost takes any keyword, and lists none of these.
XGBOOST_PARAMS = {"quantile_alpha", "huber_slope", "tweedie_variance_power", "eta", "alpha", "lambda"}
# Values with which the converter gives another model or none. Aliases are refused by `parity`.
NOT_CONVERTED: dict[str, dict[str, Container[Any]]] = {
    "lightgbm": {"boosting_type": ("rf",), "linear_tree": (True,), "zero_as_missing": (True,), "reg_sqrt": (True,)},
    "xgboost": {"booster": ("dart", "gblinear"), "num_parallel_tree": range(2, 1_000_000)},
}
NO_OPENMP = (
    "Install the OpenMP runtime: `apt-get install libgomp1` (Debian, Ubuntu), `dnf install libgomp` (Fedora), "
    "`brew install libomp` (macOS)."
)


def lacks_openmp(error: Exception) -> bool:
    """Return whether an import failed because the OpenMP runtime is missing, which is in no Python package."""
    return not isinstance(error, ImportError) and any(name in str(error) for name in ("libgomp", "libomp"))


def accepted_params(factory: type) -> set[str]:
    """Return the parameters that an estimator class accepts, also of one that takes any keyword."""
    parameters = inspect.signature(factory).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD}
    if len(names) == len(parameters):
        return names
    names |= set(factory().get_params())
    if _library(factory) == "lightgbm":
        from lightgbm.basic import _ConfigAliases  # no public function lists them

        aliases = _ConfigAliases._get_all_param_aliases()
        names |= set(aliases).union(*aliases.values())
    elif _library(factory) == "xgboost":
        names |= XGBOOST_PARAMS
    return names


def default_params(factory: type) -> dict[str, Any]:
    """Return parameters that a class of these libraries gets where params.yaml does not give them."""
    return LIGHTGBM_DEFAULTS if _library(factory) == "lightgbm" else {}


def not_converted(factory: type, params: Mapping[str, Any]) -> str:
    """Return the parameters, as text, with which an estimator has no ONNX conversion; empty if there is none."""
    refused = NOT_CONVERTED.get(_library(factory), {})
    return ", ".join(f"{key}: {params[key]}" for key, values in refused.items() if params.get(key) in values)


def register_converters() -> None:
    """Register the ONNX converters of these libraries with skl2onnx, for each library that is imported."""
    for library in ("lightgbm", "xgboost"):
        if library in sys.modules:
            _register(library)


@cache
def _register(library: str) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    convert: Callable[[Any, Any, Any], None]
    if library == "lightgbm":
        from lightgbm import LGBMClassifier as Classifier
        from lightgbm import LGBMRegressor as Regressor

        convert = _convert_lightgbm
    else:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
        from xgboost import XGBClassifier as Classifier
        from xgboost import XGBRegressor as Regressor

        convert = convert_xgboost
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [True, False]}
    for estimator, shapes, allowed in (
        (Classifier, shape_calculator.calculate_linear_classifier_output_shapes, options),
        (Regressor, shape_calculator.calculate_linear_regressor_output_shapes, None),
    ):
        update_registered_converter(
            estimator, f"Mainline{estimator.__name__}", shapes, convert, overwrite=False, options=allowed
        )


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """Convert a LightGBM model, to margins instead of probabilities where a calibration needs them."""
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    known = len(container.nodes)
    convert_lightgbm(scope, operator, container)
    model = operator.raw_operator
    if not (hasattr(model, "classes_") and scope.get_options(model, {"raw_scores": False})["raw_scores"]):
        return
    for node in container.nodes[known:]:
        for attribute in node.attribute:
            if attribute.name == "post_transform":
                attribute.s = b"NONE"


def _library(factory: type) -> str:
    return factory.__module__.partition(".")[0]
