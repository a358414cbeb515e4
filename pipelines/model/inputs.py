"""The raw request fields that a model of params.yaml reads."""

from __future__ import annotations

from pipelines.config.features import FeatureParams
from pipelines.model.signature import Input


def inputs_of(params: FeatureParams) -> tuple[Input, ...]:
    """Return the raw request fields of the model, as the signature describes them."""
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
