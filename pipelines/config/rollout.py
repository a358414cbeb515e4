"""Section `rollout`: a release first gets a share of the requests, and is judged before it gets all."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipelines.config.base import Count, Positive, Strict, cross_check

# Milliseconds that the service counts its requests by (serving/metrics.py).
LATENCIES = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


def _is_counted(milliseconds: float) -> float:
    if milliseconds in LATENCIES:
        return milliseconds
    raise ValueError(f"the service counts its requests by {', '.join(f'{value:g}' for value in LATENCIES)} ms: use one")


def _ascend(steps: tuple[int, ...]) -> tuple[int, ...]:
    if list(steps) == sorted(set(steps)):
        return steps
    raise ValueError("expected percentages that grow, such as [5, 25]")


class Limits(Strict):
    """What a canary may be worse by than production; at a limit or beyond it is aborted.

    Attributes:
        errors: share of requests that fail, beyond production's share.
        p99_ms: the 99th percentile of the latency of `/predict`.
        scores: largest distance between the distributions of the scores (Kolmogorov's).
    """

    errors: Annotated[float, Field(gt=0, lt=1)] = 0.02
    p99_ms: Annotated[float, AfterValidator(_is_counted)] = 100
    scores: Annotated[float, Field(gt=0, lt=1)] = 0.1


class Rollout(Strict):
    """How a release gets its share of the requests.

    Attributes:
        steps: shares of the requests in percent; after the last, the release goes to everybody.
        min_requests: a step with fewer requests of the canary is not decided.
        min_minutes: nor one that is younger.
        max_hours: a rollout that is not decided by then is aborted as inconclusive.
        sticky: the request header whose value decides who gets the canary; null for a random share of the requests.
        limits: what the canary may be worse by.
        decide_on: for an A/B test, with `steps: [50]`: the loss of the rows with a label that decides who gets all
            requests; null if the limits decide.
        replay: so many logged requests are asked of the canary before it gets any; 0 for none.
    """

    steps: Annotated[tuple[Annotated[int, Field(gt=0, lt=100)], ...], Field(min_length=1), AfterValidator(_ascend)]
    min_requests: Count = 1000
    min_minutes: Count = 10
    max_hours: Positive = 24
    sticky: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] | None = None
    limits: Limits = Limits()
    decide_on: Literal["log_loss", "brier", "absolute_error"] | None = None
    replay: Annotated[int, Field(ge=0, le=100_000)] = 1000

    @cross_check
    def _test_has_equal_arms(self) -> Iterator[str]:
        if self.decide_on and self.steps != (50,):
            yield "rollout.decide_on: compares two equal arms: use `steps: [50]`"
