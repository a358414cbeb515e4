"""Section `search`: the parameters that `make tune` tries. No stage reads it, so a change retrains nothing."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.config.base import Name, Seed, Strict

ParamPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.\w+)*$")]


class Space(Strict):
    """The values of a parameter: some, or a range with both ends, of whole numbers if both ends are whole.

    Attributes:
        values: the values to try, such as `[gini, entropy]`.
        low: the lowest value of a range.
        high: the highest value of a range.
        log: whether small values are tried as often as large ones, by powers.
    """

    values: Annotated[tuple[bool | int | float | str | None, ...], Field(min_length=2)] | None = None
    low: int | float | None = Field(default=None, alias="from")
    high: int | float | None = Field(default=None, alias="to")
    log: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ends = (self.low, self.high)
        if self.values is not None:
            if ends != (None, None) or self.log:
                raise ValueError("give values, or a range by from and to, not both")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give values, or a range by from and to")
        if self.low >= self.high:
            raise ValueError("from must be less than to")
        if self.log and self.low <= 0:
            raise ValueError("log needs a range above 0")
        return self


class Search(Strict):
    """For each candidate the parameters to search.

    Attributes:
        seed: of the random numbers.
        spaces: candidate -> parameter, by its name, or by its path below the candidate -> the values to try.
    """

    seed: Seed = 7
    spaces: Mapping[Name, Annotated[Mapping[ParamPath, Space], Field(min_length=1)]] = {}
