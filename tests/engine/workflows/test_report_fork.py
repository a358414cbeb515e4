"""report-fork.yml; what a fork must not hand over is in tests/engine/publish/test_flow.py.

Needs the small problem (git, DVC), act, emulate and Prism.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from pipelines.publish.flow import FORK_NOTICE
from tests.engine.workflows.world import World, docs

RUN = 21


def archive(number: int, report: str, **more: str) -> bytes:
    """A review's artifact."""
    document = json.dumps({"verdict": "pass", "pull_request": number})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in {"review.md": report, "review.json": document}.items():
            made.writestr(f"reports/review/{name}", content)
        for name, content in more.items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_what_a_fork_hands_over_is_posted_as_text_and_nothing_of_it_is_written_or_run(
    world: World, tmp_path: Path
) -> None:
    number, mark = world.open(docs, fork=True), tmp_path / "ran"
    report = (
        f"$(touch {mark}) `touch {mark}`\n::set-output name=x::y\n<script>fetch('/')</script>\n"
        f"${{{{ github.token }}}}\n'; touch {mark}; '\n@everyone\n"
    )
    climbing = {"../../../../../../../.." + str(mark): "x", str(mark): "x"}
    world.github.artifact(RUN, "review", archive(number, report, **climbing))
    run = world.report_fork(number, RUN)
    assert run.conclusions == {"report-fork": "success"}, run.log
    assert not mark.exists()
    assert "fetch('/')" not in run.log  # the report is not printed: a log has commands too
    (comment,) = world.github.comments(number)
    assert comment.startswith(f"{FORK_NOTICE}\n\n{report.rstrip()}".replace("@", "@\u200b"))
    assert "with CML: pass" in run.log
    assert world.pushes == []


def test_a_pull_request_of_ours_is_left_to_its_own_run(world: World) -> None:
    number = world.open(docs)
    world.github.artifact(RUN, "review", archive(number, "# A report\n"))
    assert world.report_fork(number, RUN).conclusions == {}
