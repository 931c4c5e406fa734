"""Routes of HTTP listeners from a configuration: the examples of docs/http-routing.md do what the
page says, and a reload keeps what a route has counted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.rules import checks
from l4lb.errors import AdminError, L4lbError
from l4lb.native import http as native
from l4lb.native.requests import Chosen, Request
from l4lb.native.table import Table
from l4lb.supervisor.table.http_routes import HttpRoutes

PAGE = (Path(__file__).parents[4] / "docs" / "http-routing.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([A-Z]+) http://([^/`]+)(/[^`]*)` \| (.*) \|$", re.MULTILINE)


class Service:
    """What the supervisor has of routes: one table, one listener."""

    def __init__(self) -> None:
        self.table = Table((1, 1, 8, 1, 1))
        self.routes = HttpRoutes(self.table)
        self.pools: dict[str, int] = {}

    def configure(self, config: Config) -> None:
        (listener,) = config.listeners.values()
        rows = {(listener.name, str(bind)): 0 for bind in listener.bind}
        self.pools = {name: row for row, name in enumerate(config.pools)}
        caches = {name: row for row, name in enumerate(config.cache)}
        self.routes.publish(self.routes.prepared(config, rows, self.pools, caches))

    def choose(self, method: str, host: str, target: str, **more: Any) -> Chosen | None:
        parts = native.read_target(target.encode(), method)
        path, name = native.read_path(parts.path), native.read_host(host.encode()).name
        request = Request(method, "http", name, path, parts.query, **more)
        return native.choose_in_force(self.table, 0, request)

    def shown(self, chosen: Chosen | None, otherwise: str) -> str:
        """Returns what happens with a request, as the tables of the page say it."""
        if chosen is None:
            return f"`{otherwise}`"
        if chosen.action == "pool":
            pool = next(name for name, row in self.pools.items() if row == chosen.pool)
            return f"`{pool}`" + (f" as `{chosen.target.decode()}`" if chosen.target else "")
        where = f" `{chosen.location.decode()}`" if chosen.location else ""
        return f"{chosen.status}{where}"


def configured(text: str) -> Config:
    return build(tomllib.loads(text), Origin())


def with_routes(*routes: dict[str, Any]) -> Config:
    listener = {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "a", "routes": list(routes)}
    pools = {name: {"backends": ["127.0.0.1:2"]} for name in ("a", "b")}
    return build({"listeners": {"web": listener}, "pools": pools}, Origin())


@pytest.mark.parametrize(("example", "text"), EXAMPLES)
def test_an_example_of_the_page_does_what_its_table_says(example: str, text: str) -> None:
    assert not list(checks.warnings(tomllib.loads(example)))
    config = configured(example)
    service = Service()
    service.configure(config)
    for method, host, target, wanted in ROW.findall(text):
        chosen = service.choose(method, host, target)
        assert service.shown(chosen, config.listeners["web"].pool) == wanted, target


def test_the_page_has_examples_with_requests() -> None:
    assert len(EXAMPLES) == 6
    assert sum(bool(ROW.search(text)) for _, text in EXAMPLES) == 3


def test_a_canary_takes_its_requests() -> None:
    service = Service()
    service.configure(configured(next(one for one, _ in EXAMPLES if "canary" in one)))

    def taken(**more: Any) -> bool:
        found = service.choose("GET", "a", more.pop("target", "/"), **more)
        return found is not None and service.shown(found, "") == "`canary`"

    no_luck = 2**32 - 1
    assert taken(fields=((b"x-version", b"2.1"),), random=no_luck)
    assert not taken(fields=((b"x-version", b"1.2"),), random=no_luck)
    assert taken(fields=((b"Cookie", b"a=b; beta=1"),), random=no_luck)
    assert taken(target="/?a=b&preview", source="10.1.2.3", random=no_luck)
    assert not taken(target="/?preview", source="192.0.2.1", random=no_luck)
    assert taken(random=2**32 // 20 - 1)
    assert not taken(random=2**32 // 20 + 1)


def test_a_reload_keeps_the_slot_of_a_route_that_stays() -> None:
    service = Service()
    one, two = {"path": "/1", "pool": "b"}, {"path": "/2", "pool": "b"}
    named = {"name": "x", "path": "/3", "pool": "b"}
    service.configure(with_routes(one, two, named))
    first = native.slots(service.table, 0)
    assert len(set(first)) == 3
    service.configure(with_routes({"path": "/0", "pool": "b"}, two, {**named, "path": "/4"}, two))
    second = native.slots(service.table, 0)
    assert second[1:3] == first[1:3]
    assert len(set(second)) == 4
    service.configure(with_routes())
    assert native.slots(service.table, 0) == []


def test_an_answer_has_the_bytes_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "robots.txt"
    file.write_bytes(b"\0\xff" * 100)
    service = Service()
    config = with_routes({"path": "/", "respond": {"file": str(file), "content_type": "a/b"}})
    service.configure(config)
    found = service.choose("GET", "a", "/")
    assert found is not None
    assert (found.body, found.content_type) == (b"\0\xff" * 100, b"a/b")
    file.write_bytes(b"x" * (64 * 1024 + 1))
    with pytest.raises(L4lbError, match="more than 64 KiB"):
        service.configure(config)
    file.unlink()
    with pytest.raises(L4lbError, match="cannot read"):
        service.configure(config)
    assert service.choose("GET", "a", "/") == found


def test_routes_with_large_answers_are_refused_before_anything_changes() -> None:
    service = Service()
    service.configure(with_routes({"path": "/", "pool": "b"}))
    large = [
        {"path": f"/{n}", "respond": {"body": f"{n:03}" + "x" * 60_000}} for n in range(80)
    ]  # fmt: skip
    with pytest.raises(L4lbError, match="more than 4 MiB together"):
        service.configure(with_routes(*large))
    assert service.choose("GET", "a", "/") is not None


def test_routes_are_shown_with_their_words() -> None:
    service = Service()
    config = with_routes(
        {"path_prefix": ["/a", "/b"], "header": {"X": ["1", "2"]}, "pool": "b"},
        {"name": "gone", "percent": 5, "redirect": "/c"},
        {"host": "x.example", "respond": {"status": 404}},
    )
    service.configure(config)
    shown = service.routes.shown(config.listeners, {"listener": "web", "hits": True})
    assert [(row["route"], row["when"], row["then"], row["requests"]) for row in shown] == [
        ("1", "path_prefix /a | /b, header X = 1 | 2", "pool b", 0),
        ("gone", "percent 5", "302 /c", 0),
        ("3", "host x.example", "answer 404", 0),
    ]
    with pytest.raises(AdminError, match="no listener"):
        service.routes.shown(config.listeners, {"listener": "nobody"})
