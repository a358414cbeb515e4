"""Section `validation`: limits of the rows beyond the schema."""

from typing import Annotated

from pydantic import Field

from pipelines.config.base import Count, Share, Strict


class Validation(Strict):
    """Limits of the rows beyond the schema.

    Attributes:
        max_missing: the share of missing values that a nullable column may have.
        max_share: a category with one value above this share has collapsed.
        leak_score: inputs that rank (AUC) or explain (R²) the target this well nearly are the target.
        min_rows: fewer rows are an error.
    """

    max_missing: Share
    max_share: Share
    leak_score: Annotated[float, Field(gt=0.5, le=1)]
    min_rows: Count
