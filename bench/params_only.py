"""A change of one candidate's parameter, against a cold `dvc repro`: it pays for train and what follows."""

import re
from itertools import count

from bench.problem import Problem, dvc
from bench.results import Result
from bench.timing import Show, in_turns

NAME = "change of one parameter of one candidate"
RUNS = {"train@boosting"}  # must run
MAY_RUN = RUNS | {"select", "export", "evaluate", "profile"}  # the model is another one, so what follows may run


def measure(problem: Problem, show: Show) -> Result:
    """Time both on the smaller problem; each change is one that no cache has seen."""
    repo = problem.small
    ran: list[set[str]] = []
    rounds = count(61)

    def change() -> None:
        repo.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=next(rounds)))
        ran.append(set(re.findall(r"^Running stage '([^']+)'", dvc(repo, "repro").out, re.MULTILINE)))

    def cold() -> None:
        dvc(repo, "repro", "--force")

    medians = in_turns({"dvc repro after the change": change, "cold dvc repro": cold}, show)
    return Result(
        name=NAME,
        value=medians["dvc repro after the change"],
        unit="s",
        peers={"cold dvc repro": medians["cold dvc repro"]},
        target="ratio < 1",
        sound=all(stages >= RUNS and stages <= MAY_RUN for stages in ran),
        note="ran: " + ", ".join(sorted(set().union(*ran))),
    )
