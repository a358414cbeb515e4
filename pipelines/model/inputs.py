"""The raw request fields that params.yaml says the model reads."""

from __future__ import annotations

from pipelines.config.features import FeatureParams
from pipelines.model.signature import Input


def inputs_of(params: FeatureParams) -> tuple[Input, ...]:
    """The raw request fields of the model, as the signature describes them."""
    columns = params.table.columns
    return tuple(
        Input(
            name=name,
            type=columns[name].type,
            nullable=columns[name].nullable,
            min=columns[name].min,
            max=columns[name].max,
            allowed=columns[name].allowed,
            sensitive=columns[name].sensitive,
        )
        for name in params.inputs
    )
