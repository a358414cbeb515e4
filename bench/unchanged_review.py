"""A review that finds nothing changed, against `dvc repro` that finds nothing to do."""

from bench.problem import Problem, dvc, must, threads
from bench.results import Result
from bench.timing import Show, in_turns

NAME = "review that finds nothing changed"


def measure(problem: Problem, show: Show) -> Result:
    """Time both in one clone of the default problem, whose review was written before."""
    clone = problem.clone(problem.default)
    outputs: list[str] = []

    def review() -> None:
        done = clone.verb("review", "--base", "main", **threads())
        if done.code not in (0, 1):
            must(done)
        outputs.append(done.out)

    show("Reviewing the default problem")
    review()
    outputs.clear()
    medians = in_turns({"review": review, "dvc repro": lambda: dvc(clone, "repro")}, show)
    return Result(
        name=NAME,
        value=medians["review"],
        unit="s",
        peers={"dvc repro": medians["dvc repro"]},
        target="ratio <= 3",
        sound=all("Nothing changed" in out for out in outputs),
    )
