"""Section `candidates`: the estimators that compete."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from pipelines.config.base import Name, Strict
from pipelines.config.features import FeatureParams


class Step(Strict):
    """A transformer before the estimator, by import path.

    Attributes:
        estimator: the import path of the class, such as `sklearn.impute.SimpleImputer`.
        params: the arguments that it is created with.
    """

    estimator: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")]
    params: Mapping[str, Any] = {}


class Candidate(Step):
    """An estimator that competes, with the steps before it.

    Attributes:
        before: transformers of the features, in this order.
    """

    before: tuple[Step, ...] = ()


Candidates = Annotated[Mapping[Name, Candidate], Field(min_length=1)]


class TrainParams(FeatureParams):
    """The sections that training needs."""

    candidates: Candidates
