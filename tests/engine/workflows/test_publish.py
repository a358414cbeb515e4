"""The job `publish` of review.yml by itself; what may get in its way is in tests/engine/publish/test_flow.py.

Needs the small problem (git, DVC, the whole pipeline), act, emulate and Prism.
"""

import json
from pathlib import Path

import pytest

from tests.engine.workflows.world import World, docs


@pytest.fixture
def handover(tmp_path: Path) -> Path:
    """What the job `review` leaves, as far as `publish` reads it."""
    folder = tmp_path / "handover"
    (folder / "reports/review").mkdir(parents=True)
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    (folder / "reports/review/review.md").write_text("# A report\n")
    (folder / "reports/review/review.json").write_text(json.dumps({"verdict": "pass"}))
    return folder


def test_run_again_with_and_without_cml_it_leaves_one_commit_one_check_and_one_comment(
    world: World, handover: Path
) -> None:
    branch = "-f;echo$IFS'injected'`id`$(id)<b>(y)|é\"&"  # text and nothing else
    number = world.open(docs, branch, title="$(id) `id` | <script>alert(1)</script> ${{ github.token }}")
    event = world.event(number)
    for cml, way in [("absent", "REST"), ("present", "CML")]:
        world.runner.cml = cml
        run = world.publish(number, handover, event=event)
        assert run.conclusions["publish"] == "success", run.log
        assert run.jobs["publish"].failed == (["./.github/actions/cml"] if cml == "absent" else [])
        assert f"with {way}: pass" in run.jobs["publish"].step("publish").log
        (comment,) = world.github.comments(number)
        assert comment.startswith("# A report\n")
        assert comment.count("CML watermark mainline-review") == 1
        assert "uid=" not in run.log
        assert not any(line.strip() == "injected" for line in run.log.splitlines())
    (push,) = world.pushes
    assert (push.ref, push.new) == (f"refs/heads/{branch}", world.tip(world.ref(number)))
    assert world.github.asked.count("POST /check-runs") == 1
    assert world.github.checks(push.new) == {"review": "success"}
