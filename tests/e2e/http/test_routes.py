"""Routes of an HTTP listener, through the installed program: which pool gets a request, what l4lb
answers itself, what is changed on the way, and what operators are told."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ..harness import PORTS, Balancer, run
from ..harness.configuration import toml

POOLS = ("app", "static", "canary")
ROUTES: list[dict[str, Any]] = [
    {"name": "assets", "path_prefix": "/static/", "pool": "static"},
    {"path_suffix": [".css", ".png"], "method": ["GET", "HEAD"], "pool": "static"},
    {"host": "*.beta.example", "pool": "canary"},
    {"path_regex": "^/user/[0-9]+$", "pool": "static"},
    {"header": {"X-Version": "2*"}, "pool": "canary"},
    {"cookie": {"beta": "1"}, "pool": "canary"},
    {"query": {"preview": "*"}, "source": "127.0.0.0/8", "pool": "canary"},
    {"path_prefix": "/old/", "redirect": "/new/", "status": 308},
    {"path": "/robots.txt", "respond": {"body": "Disallow: /\n"}},
    {"path_prefix": "/.git", "respond": {"status": 404}},
    {
        "path_prefix": "/api/",
        "rewrite_prefix": "/v1/",
        "set_request_headers": {"X-Tenant": "seven"},
        "remove_request_headers": "X-Secret",
        "set_response_headers": {"X-Frame-Options": "DENY"},
        "remove_response_headers": ["X-Backend"],
        "pool": "app",
    },
]


class Backend(BaseHTTPRequestHandler):
    """Answers each request with what it got."""

    protocol_version = "HTTP/1.1"
    pool = ""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"pool": self.pool, "target": self.path, "fields": fields}).encode()
        self.send_response(200)
        self.send_header("X-Backend", self.pool)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def backend(pool: str) -> Iterator[str]:
    kind = type("Backend", (Backend,), {"pool": pool})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {name: {"backends": [stack.enter_context(backend(name))]} for name in POOLS}


def configuration(pools: Mapping[str, Any], routes: list[dict[str, Any]]) -> dict[str, Any]:
    listener = {
        "bind": [f"127.0.0.1:{PORTS.take()}"],
        "protocol": "http",
        "pool": "app",
        "routes": routes,
    }
    return {"process": {"workers": 2}, "listeners": {"web": listener}, "pools": dict(pools)}


@pytest.fixture(scope="module")
def lb(pools: dict[str, Any]) -> Iterator[Balancer]:
    with Balancer(configuration(pools, ROUTES)) as balancer:
        yield balancer


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.fields = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()

    @property
    def seen(self) -> Any:
        """What the backend got."""
        return json.loads(self.body)


def ask(
    lb: Balancer, target: str, method: str = "GET", fields: Mapping[str, str] | None = None
) -> Answer:
    client = http.client.HTTPConnection(*lb.address, timeout=30)
    try:
        client.request(method, target, headers={"Host": "shop.example", **(fields or {})})
        return Answer(client.getresponse())
    finally:
        client.close()


@pytest.mark.parametrize(
    ("target", "method", "fields", "pool"),
    [
        ("/", "GET", {}, "app"),
        ("/static/x", "GET", {}, "static"),
        ("/%73tatic/x", "GET", {}, "static"),
        ("//static/./x", "GET", {}, "static"),
        ("/static/../x", "GET", {}, "app"),
        ("/a.css?v=1", "GET", {}, "static"),
        ("/a.css", "POST", {}, "app"),
        ("/user/77", "GET", {}, "static"),
        ("/user/77x", "GET", {}, "app"),
        ("/", "GET", {"Host": "one.BETA.example:8080"}, "canary"),
        ("/", "GET", {"Host": "beta.example"}, "app"),
        ("/", "GET", {"x-version": "2.1"}, "canary"),
        ("/", "GET", {"X-Version": "1.2"}, "app"),
        ("/", "GET", {"Cookie": "a=b; beta=1"}, "canary"),
        ("/?a&preview=", "GET", {}, "canary"),
    ],
)
def test_a_request_reaches_the_pool_of_its_route_and_explain_says_so(
    lb: Balancer, target: str, method: str, fields: dict[str, str], pool: str
) -> None:
    assert ask(lb, target, method, fields).seen["pool"] == pool
    sent = {"Host": "shop.example", **fields}
    said = [word for name, value in sent.items() for word in ("--header", f"{name}: {value}")]
    told = lb.admin("explain", "web", "--request", f"{method} {target}", *said)
    assert (told["outcome"], told["pool"]) == ("served", pool)


def test_a_redirect_keeps_what_follows_the_prefix(lb: Balancer) -> None:
    answer = ask(lb, "/old/a/b?c=d")
    assert (answer.status, answer.fields["location"]) == (308, "/new/a/b?c=d")


def test_an_answer_of_our_own_needs_no_backend(lb: Balancer) -> None:
    answer = ask(lb, "/robots.txt")
    assert (answer.status, answer.body) == (200, b"Disallow: /\n")
    assert answer.fields["content-type"] == "text/plain; charset=utf-8"
    assert ask(lb, "/.git/config").status == 404


def test_a_prefix_is_rewritten_and_header_fields_are_changed(lb: Balancer) -> None:
    answer = ask(lb, "/api//users?id=1", fields={"X-Secret": "s", "X-Tenant": "mine"})
    assert answer.seen["target"] == "/v1/users?id=1"
    assert answer.seen["fields"]["x-tenant"] == "seven"
    assert "x-secret" not in answer.seen["fields"]
    assert answer.fields["x-frame-options"] == "DENY"
    assert "x-backend" not in answer.fields


def test_a_target_that_no_route_changes_reaches_the_backend_as_it_came(lb: Balancer) -> None:
    assert ask(lb, "/a/%7Eb/../c?%zz=\\").seen["target"] == "/a/%7Eb/../c?%zz=\\"


@pytest.mark.parametrize("target", ["/../a", "/%00", "/a%2fb", "/a/..;/b", "/%zz", "/a\\b"])
def test_a_path_that_servers_understand_differently_is_refused(lb: Balancer, target: str) -> None:
    assert ask(lb, target).status == 400


def requests_of(lb: Balancer) -> dict[str, int]:
    return {row["route"]: row["requests"] for row in lb.admin("routes", "web")}


def test_a_reload_changes_routes_for_the_next_request_and_keeps_counts(
    pools: dict[str, Any],
) -> None:
    first = [ROUTES[0], {"path": "/x", "pool": "static"}]
    config = configuration(pools, first)
    with Balancer(config) as lb:
        client = http.client.HTTPConnection(*lb.address, timeout=30)
        for _ in range(3):
            client.request("GET", "/static/a")
            assert Answer(client.getresponse()).seen["pool"] == "static"
        client.request("GET", "/x")
        assert Answer(client.getresponse()).seen["pool"] == "static"
        assert requests_of(lb) == {"assets": 3, "2": 1}
        config["listeners"]["web"]["routes"] = [
            {"path": "/x", "pool": "canary"},
            {**ROUTES[0], "pool": "canary"},
        ]
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        for path in ("/static/a", "/x"):
            client.request("GET", path)
            assert Answer(client.getresponse()).seen["pool"] == "canary"
        client.close()
        assert requests_of(lb) == {"1": 1, "assets": 4}
        most = lb.admin("routes", "web", "--hits")
        assert [row["route"] for row in most] == ["assets", "1"]


def test_requests_above_a_routes_limit_are_refused(pools: dict[str, Any]) -> None:
    limit = {"requests_per_source": {"limit": 1, "burst": 2, "status": 429}}
    routes = [{"path": "/login", "limits": limit, "pool": "app"}]
    with Balancer(configuration(pools, routes)) as lb:
        answers = [ask(lb, "/login") for _ in range(2)]
        assert [one.status for one in answers] == [200, 200]
        # A slow machine may earn a few more requests while it asks.
        refused = next(one for one in (ask(lb, "/login") for _ in range(500)) if one.status != 200)
        assert refused.status == 429
        assert int(refused.fields["retry-after"]) >= 1
        assert ask(lb, "/").status == 200


def test_check_tells_a_tcp_listener_what_it_has_instead(
    pools: dict[str, Any], tmp_path: Path
) -> None:
    config = configuration(pools, [{"host": "a.example", "pool": "static"}])
    config["listeners"]["web"]["protocol"] = "tcp"
    file = tmp_path / "l4lb.toml"
    file.write_text(toml(config))
    done = run("check", "-c", str(file))
    assert done.returncode != 0
    assert "routes[0].host: is for http listeners only" in done.stdout + done.stderr
    assert "sni" in done.stdout + done.stderr
