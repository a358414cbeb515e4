"""The raw request fields that a model of params.yaml reads."""

from pipelines.config.features import FeatureParams
from pipelines.model.signature import Input


def inputs_of(params: FeatureParams) -> tuple[Input, ...]:
    """Return the raw request fields of the model, as the signature describes them."""
    return tuple(Input(name, **params.table.columns[name].model_dump(exclude={"known"})) for name in params.inputs)
