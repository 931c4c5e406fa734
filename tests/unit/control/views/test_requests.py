"""`explain --request`: what an operator is told about a request that a listener would get."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.control.commands import COMMANDS
from l4lb.control.views import requests
from l4lb.errors import AdminError
from l4lb.http import routes
from l4lb.http.routes import Answer, Condition, Redirect, Route
from l4lb.native import http, settings
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, table_of

ROUTES = [
    Route(1, 0, ("shop.example",), (Condition("path_prefix", ("/api/",)),),
          target="/{rest}{query}", set_request={"X-A": "b"}),
    Route(Redirect(308, "https://{host}{path}"), 1, conditions=(Condition("path", ("/old",)),)),
    Route(Answer(404, "text/plain", b"no"), 2, conditions=(Condition("source", ("10.0.0.0/8",)),)),
    Route(1, 3, conditions=(Condition("cookie", ("1",), "beta"),)),
    Route(1, 4, conditions=(Condition("scheme", ("https",)),)),
    Route(1, 5, percent=10),
]  # fmt: skip


@pytest.fixture
def table() -> Table:
    table = table_of({"app": {"a": closed_port()}, "other": {"b": closed_port()}})
    table.set_listener(0, name="web", bind="0.0.0.0:80", protocol="http", pool=0)
    table.set_listener(1, name="raw", bind="0.0.0.0:81", protocol="tcp", pool=0)
    settings.put(table, "listener", 0, http_merge_slashes=1)
    found, ats = routes.compiled([routes.Its([0], ROUTES)], table.capacities.listeners)
    http.publish_routes(table, found, ats)
    return table


def told(table: Table, request: str, *header: str, **more: Any) -> dict[str, Any]:
    given = {"pool": "web", "request": request, "header": list(header), **more}
    return requests.explain(table, COMMANDS["explain"].checked(given))


def test_a_request_without_a_route_goes_to_the_listeners_pool(table: Table) -> None:
    found = told(table, "GET http://Shop.Example/x//y/../z")
    assert (found["host"], found["path"], found["route"]) == ("shop.example", "/x/z", None)
    assert (found["outcome"], found["pool"], found["backend"]) == ("served", "app", "a")


def test_a_route_says_its_pool_and_what_the_backend_gets(table: Table) -> None:
    found = told(table, "GET /api/users?id=1", "Host: shop.example:80")
    assert (found["route"], found["pool"], found["backend"]) == (1, "other", "b")
    assert (found["target"], found["sets"]) == ("/users?id=1", ["X-A: b"])


def test_a_redirect_and_an_answer_say_what_the_client_gets(table: Table) -> None:
    moved = told(table, "GET http://a.example/old")
    assert (moved["route"], moved["outcome"], moved["status"]) == (2, "redirected", 308)
    assert moved["location"] == "https://a.example/old"
    own = told(table, "GET http://a.example/", **{"from": "10.1.2.3"})
    assert (own["route"], own["outcome"], own["status"], own["body_bytes"]) == (
        3,
        "answered",
        404,
        2,
    )


def test_header_fields_and_the_scheme_count(table: Table) -> None:
    assert told(table, "GET http://a/", "Cookie: x=2; beta=1")["route"] == 4
    assert told(table, "GET https://a/")["route"] == 5


@pytest.mark.parametrize(
    ("request_", "status", "word"),
    [
        ("GET http://a/../b", 400, "above_root"),
        ("GET http://a_/%00", 400, "encoded_nul"),
        ("GET http://1.2.3/", 400, "bad_host"),
        ("CONNECT /", 400, "target_form"),
    ],
)
def test_a_request_that_is_refused_says_why(
    table: Table, request_: str, status: int, word: str
) -> None:
    found = told(table, request_, "Host: a")
    assert (found["outcome"], found["status"], found["why"]) == ("refused", status, word)


@pytest.mark.parametrize(
    ("given", "told_"),
    [
        ({"pool": "wep", "request": "GET http://a/"}, "did you mean web"),
        ({"pool": "raw", "request": "GET http://a/"}, "is a tcp listener"),
        ({"pool": "web", "request": "GET"}, "METHOD URL"),
        ({"pool": "web", "request": "GET /"}, "names no host"),
        ({"pool": "web", "request": "GET http://a/", "header": ["a"]}, "NAME: VALUE"),
        ({"pool": "web", "request": "GET http://a/", "from": "x"}, "is no IP"),
        ({"pool": "web", "request": "GET http://a/", "header": "a: b"}, "must be a list"),
        ({"pool": "web", "request": "GET http://a/", "header": ["a: b"] * 101}, "at most 100"),
    ],
)
def test_what_cannot_be_explained_is_told(table: Table, given: dict[str, Any], told_: str) -> None:
    with pytest.raises(AdminError, match=told_):
        requests.explain(table, COMMANDS["explain"].checked(given))
