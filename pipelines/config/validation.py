"""Section `validation`: limits of the rows beyond the schema."""

from typing import Annotated

from pydantic import Field

from pipelines.config.base import Count, Share, Strict


class Validation(Strict):
    """Limits of the rows beyond the schema."""

    max_missing: Share
    max_share: Share
    leak_score: Annotated[float, Field(gt=0.5, le=1)]
    min_rows: Count
