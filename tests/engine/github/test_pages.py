"""Lists of several pages."""

import pytest

from pipelines.cli.errors import InputError, Unreachable
from pipelines.github.client import GitHub
from tests.engine.github.scripted_server import Response, Server


def test_all_pages_of_the_link_header_are_read(github: GitHub, server: Server) -> None:
    second, third = (f"{server.url}/repositories/1/issues/4/comments?page={page}" for page in (2, 3))
    server.script = [
        Response(body=[{"id": 1}, {"id": 2}], headers={"Link": f'<{second}>; rel="next", <{third}>; rel="last"'}),
        Response(body=[{"id": 3}], headers={"Link": f'<{third}>; rel="next"'}),
        Response(body=[{"id": 4}], headers={"Link": f'<{server.url}/x>; rel="first"'}),
    ]
    assert [comment["id"] for comment in github.comments(4)] == [1, 2, 3, 4]
    assert [request.path for request in server.requests] == [
        "/repos/acme/fraud/issues/4/comments?per_page=100",
        "/repositories/1/issues/4/comments?page=2",
        "/repositories/1/issues/4/comments?page=3",
    ]


def test_all_pages_of_a_list_below_a_key_are_read(github: GitHub, server: Server) -> None:
    link = {"Link": '</repos/acme/fraud/actions/runs/5/artifacts?page=2>; rel="next"'}
    server.script = [Response(body={"total_count": 2, "artifacts": [{"id": 1}]}, headers=link)]
    server.script.append(Response(body={"total_count": 2, "artifacts": [{"id": 2}]}))
    assert [artifact["id"] for artifact in github.artifacts(5)] == [1, 2]


def test_a_next_page_on_another_host_is_not_requested(github: GitHub, server: Server, other_server: Server) -> None:
    link = {"Link": f'<{other_server.url}/repos/acme/fraud/labels?page=2>; rel="next"'}
    server.script, other_server.script = [Response(body=[{"name": "a"}], headers=link)], [Response(body=[])]
    with pytest.raises(InputError, match="another host"):
        list(github.pages("labels"))
    assert other_server.requests == []


def test_an_error_of_a_page_names_its_path(github: GitHub, server: Server) -> None:
    server.script = [Response(body=[], headers={"Link": '</repositories/1/labels?page=2>; rel="next"'}), Response(404)]
    with pytest.raises(InputError, match=r"^GitHub: GET /repositories/1/labels: 404$"):
        list(github.pages("labels"))


def test_a_page_that_is_not_a_list_raises_unreachable(github: GitHub, server: Server) -> None:
    server.script = [Response(body={"total": 0}), Response(body={"total": 0})]
    with pytest.raises(Unreachable, match="not a list"):
        list(github.pages("labels"))
    with pytest.raises(Unreachable, match="not a list"):
        list(github.artifacts(5))


def test_all_pull_requests_of_a_commit_and_all_reviews_are_listed(github: GitHub, server: Server) -> None:
    for path, list_entries in (
        (f"/repos/acme/fraud/commits/{'a' * 40}/pulls", lambda: github.commit_pulls("a" * 40)),
        ("/repos/acme/fraud/pulls/7/reviews", lambda: github.reviews(7)),
    ):
        link = {"Link": f'<{path}?page=2>; rel="next"'}
        server.script, server.requests = [Response(body=[{"id": 1}], headers=link), Response(body=[{"id": 2}])], []
        assert [entry["id"] for entry in list_entries()] == [1, 2]
        assert [request.path for request in server.requests] == [f"{path}?per_page=100", f"{path}?page=2"]
