"""Rows and memory of caches: what a reload keeps, and what begins anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import L4lbError
from l4lb.native import cache as native
from l4lb.native.caches import CacheRow
from l4lb.native.table import Table
from l4lb.supervisor.table.caches import Caches
from l4lb.supervisor.table.http_routes import cache_number
from l4lb.supervisor.table.http_texts import of_cache

SMALL = {"memory": "4MiB"}


def config(caches: dict[str, Any], **listener: Any) -> Config:
    table = {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "a", **listener}
    pools = {"a": {"backends": ["127.0.0.1:2"]}}
    data = {"listeners": {"web": table}, "pools": pools, "cache": caches}
    return build({"process": {"workers": 2}, **data}, Origin())


class Service:
    """One table with caches."""

    def __init__(self) -> None:
        self.table = Table((2, 1, 1, 1, 1))
        self.caches = Caches(self.table)

    def configure(self, **caches: dict[str, Any]) -> None:
        found = config(caches)
        with self.caches.prepared(found):
            pass
        self.caches.put(found, dict.fromkeys(caches))
        self.caches.drop_others(found)

    def shown(self) -> dict[str, CacheRow]:
        return {one.name: one for one in native.rows(self.table)}


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.caches.close()


def test_each_cache_has_a_row_and_memory_of_its_own(service: Service) -> None:
    service.configure(a=SMALL, b={"memory": "8MiB"})
    a, b = service.shown()["a"], service.shown()["b"]
    assert {a.row, b.row} == {0, 1}
    assert a.at == native.BANS_BYTES
    assert b.at == a.at + a.size
    assert a.size >= 4 << 20
    assert os.fstat(service.caches.fd).st_size == b.at + b.size
    assert os.fstat(service.caches.fd).st_blocks * 512 < 1 << 20  # taken when answers are kept


def test_a_reload_keeps_the_row_of_a_cache_whose_rules_change(service: Service) -> None:
    service.configure(a=SMALL)
    before = service.shown()["a"]
    service.configure(a={**SMALL, "default_ttl": "1m"}, b=SMALL)
    assert service.shown()["a"] == before


@pytest.mark.parametrize("change", [{"memory": "5MiB"}, {"max_object": "2KiB"}])
def test_a_cache_of_another_size_is_another_one(service: Service, change: dict[str, Any]) -> None:
    service.configure(a=SMALL)
    before = service.shown()["a"]
    service.configure(a={**SMALL, **change})
    after = service.shown()["a"]
    assert after.row != before.row
    assert after.at == before.at + before.size


def test_a_cache_that_comes_back_begins_empty_in_its_row(service: Service) -> None:
    """What was purged meanwhile was not purged there."""
    service.configure(a=SMALL)
    before = service.shown()["a"]
    service.configure()
    assert service.shown() == {}
    service.configure(a=SMALL)
    after = service.shown()["a"]
    assert (after.row, after.used) == (before.row, before.used + 1)
    assert after.at == before.at + before.size


def test_a_configuration_that_is_not_taken_leaves_the_rows_as_they_were(service: Service) -> None:
    service.configure(a=SMALL)
    before = service.shown()
    found = config({"a": SMALL, "b": SMALL})

    def refused() -> None:
        with service.caches.prepared(found) as rows:
            assert rows == {"a": 0, "b": 1}
            raise L4lbError("routes are too long")

    with pytest.raises(L4lbError, match="too long"):
        refused()
    assert service.shown() == before
    assert service.caches.rows == {"a": 0}
    service.configure(a=SMALL, b=SMALL)
    assert service.shown()["b"].at == before["a"].at + before["a"].size


def taken(service: Service) -> int:
    """Returns the bytes of memory that all caches take."""
    return os.fstat(service.caches.fd).st_blocks * 512


@pytest.fixture
def still_open(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """The rows that a worker has open, with what their `used` was."""
    held: set[tuple[int, int]] = set()
    monkeypatch.setattr(native, "is_open", lambda _, row, used: (row, used) in held)
    return held


def test_memory_and_row_come_back_when_no_worker_has_them(
    service: Service, still_open: set[tuple[int, int]]
) -> None:
    service.configure(a=SMALL, b=SMALL)
    first = service.shown()["a"]
    with service.caches.mapped("a") as area:
        area[first.size // 2 :] = b"x" * (first.size - first.size // 2)
    before = taken(service)
    still_open.add((first.row, first.used))
    for size in range(5, 40):  # more sizes than there are rows
        service.configure(a={"memory": f"{size}MiB"}, b=SMALL)
        assert service.shown()["a"].row != first.row
    assert taken(service) >= before
    still_open.clear()
    service.caches.look()
    assert taken(service) < before - first.size // 4
    rows = set()
    for size in range(40, 60):
        service.configure(a={"memory": f"{size}MiB"}, b=SMALL)
        rows.add(service.shown()["a"].row)
    assert first.row in rows


def test_a_row_that_another_cache_gets_has_no_count_of_the_one_before(service: Service) -> None:
    names = [f"c{number}" for number in range(native.CACHES_MAX)]
    for number, name in enumerate(names):
        service.configure(**{name: SMALL})
        row = service.shown()[name].row
        counts = [0] * len(native.exported(service.table, name))
        counts[0] = number + 1
        native.book(service.table, row, counts)
    service.configure(other=SMALL)
    assert native.tally(service.table, "other").requests == 0
    service.configure(other={"memory": "5MiB"})
    row = service.shown()["other"].row
    native.book(service.table, row, [3, *counts[1:]])
    for size in range(6, 30):
        service.configure(other={"memory": f"{size}MiB"})
        assert native.tally(service.table, "other").requests == 3


def test_too_many_sizes_at_one_time_are_refused_and_the_last_one_stays(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "is_open", lambda *_: True)
    for size in range(4, 20):
        service.configure(a={"memory": f"{size}MiB"})
    last = service.shown()
    with pytest.raises(L4lbError, match=r"no room for the cache a: .*"):
        service.configure(a={"memory": "20MiB"})
    assert service.shown() == last
    service.configure(a={"memory": "4MiB"})  # a row that it had before


def test_what_does_not_fit_is_refused_before_anything_changes(service: Service) -> None:
    found = config({"a": {"memory": "4MiB", "max_object": "256KiB"}})
    many = found.process.model_copy(update={"workers": 64})  # as --workers does, after the check
    with pytest.raises(L4lbError, match="max_object is too large for its memory with 64 workers"):
        service.caches.prepared(found.model_copy(update={"process": many})).__enter__()
    assert service.shown() == {}


def test_the_memory_cannot_shrink(service: Service) -> None:
    service.configure(a=SMALL)
    with pytest.raises(PermissionError):
        os.ftruncate(service.caches.fd, 0)


def test_a_route_has_its_own_cache_or_that_of_its_listener() -> None:
    routes = [
        {"path": "/a", "pool": "a"},
        {"path": "/b", "pool": "a", "cache": "other"},
        {"path": "/c", "pool": "a", "cache": "off"},
    ]
    found = config({"pages": SMALL, "other": SMALL}, routes=routes, http={"cache": "pages"})
    listener = found.listeners["web"]
    rows = {"pages": 4, "other": 7}
    assert cache_number(rows, listener) == 5
    assert [cache_number(rows, listener, one) for one in listener.routes] == [5, 8, 0]
    (plain,) = config({}).listeners.values()
    assert cache_number({}, plain) == 0


def test_the_texts_of_a_cache_are_its_names_and_lifetimes() -> None:
    cache = {
        "tags": "Surrogate-Key", "status": "off", "statuses": {"404": "2m"},
        "purge": {"networks": ["10.0.0.0/8"]}, "ignore_query": ["utm_*"],
    }  # fmt: skip
    texts = of_cache(config({"a": cache}).cache["a"])
    assert (texts.tags, texts.status, texts.purge) == ("Surrogate-Key", "", "PURGE")
    assert (texts.ignored, texts.statuses) == (("utm_*",), {404: 120})
    assert texts.targeted == ("L4LB-CDN-Cache-Control", "CDN-Cache-Control")


def test_the_next_programs_caches_begin_behind_those_of_this_one(service: Service) -> None:
    service.configure(a=SMALL)
    old = service.shown()["a"]
    told = service.caches.carried()
    following = Service()
    following.caches.go_on({**told, "fd": os.dup(told["fd"])})
    following.configure(a=SMALL)
    assert following.shown()["a"].at == old.at + old.size
    following.caches.alone()
    following.caches.close()


def test_the_memory_of_the_old_caches_is_given_back_when_their_workers_are_gone(
    service: Service,
) -> None:
    service.configure(a=SMALL)
    told = service.caches.carried()
    os.pwrite(told["fd"], b"x" * (1 << 20), service.shown()["a"].at)
    taken = os.fstat(told["fd"]).st_blocks
    following = Service()
    following.caches.go_on({**told, "fd": os.dup(told["fd"])})
    assert os.fstat(told["fd"]).st_blocks == taken
    following.caches.alone()
    assert os.fstat(told["fd"]).st_blocks < taken / 2
    following.caches.close()


def test_memory_that_cannot_be_given_back_is_told_and_ends_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no holes here")

    service.configure(a=SMALL)
    told = service.caches.carried()
    following = Service()
    following.caches.go_on({**told, "fd": os.dup(told["fd"])})
    monkeypatch.setattr(native, "punch", refused)
    with structlog.testing.capture_logs() as logs:
        following.caches.alone()
    assert [one["log_level"] for one in logs] == ["warning"]
    following.caches.close()


def test_a_file_of_another_form_is_not_taken(service: Service) -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, native.BANS_BYTES)
    own = service.caches.fd
    service.caches.go_on({"fd": fd, "end": native.BANS_BYTES})
    assert service.caches.fd == own
    service.caches.close_unused({"fd": fd, "end": native.BANS_BYTES})
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
