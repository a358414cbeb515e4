"""models/profile.json as the monitor reads it: the reference distributions, and what the test rows promised."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.cli.errors import InputError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Reference(_Part):
    """The distribution of an input in the training rows, or of the score in the validation rows.

    Attributes:
        counts: bin -> rows.
        edges: inner edges of the bins of a number (pipelines/tables/binning.py).
        variation: days -> natural variation (PSI) of windows of so many days.
        min, max: smallest and largest number of the rows.
    """

    counts: Mapping[str, int]
    edges: tuple[float, ...] = ()
    variation: Mapping[int, float] | None = None
    min: float | None = None
    max: float | None = None


class Promised(_Part):
    """A bounded loss (pipelines/model/bounded_loss.py) on the test rows.

    Attributes:
        mean, standard_error: of the loss as a share of `largest`, between 0 and 1.
        largest: the loss that counts as 1.
    """

    mean: float
    standard_error: float
    largest: float


class Promise(_Part):
    """The bounded losses of the test rows; `losses` holds each by its name."""

    rows: int
    losses: Mapping[str, Promised]


class Profile(_Part):
    """The profile of one version. A version of before the monitor has neither variation, nor score, nor promise."""

    rows: int
    inputs: Mapping[str, Reference]
    score: Reference | None = None
    promise: Promise | None = None


def load_profile(path: Path) -> Profile:
    """Read a profile.json.

    Raises:
        InputError: if it is missing or not a profile.
    """
    try:
        return Profile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a profile: {reason}", "Restore it: `dvc checkout`, or `make review`."
        ) from error
