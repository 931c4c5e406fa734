"""Purges by clients: who may, and what they take out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..harness import Balancer
from ..harness.http import answer, before, client
from ..harness.origin import Origin
from .conftest import KEPT, Cached

PURGE = {"networks": ["127.0.0.1/32"], "method": "PURGE"}
STALE_TOO = [("Cache-Control", "max-age=1000, stale-while-revalidate=1000")]


@pytest.fixture(scope="module")
def _purged() -> Iterator[tuple[Balancer, Origin]]:
    with Origin() as origin, before([origin.row], cache={"purge": PURGE}) as lb:
        yield lb, origin


@pytest.fixture
def purged(_purged: tuple[Balancer, Origin]) -> Cached:
    """A pair whose cache may be purged from 127.0.0.1."""
    return Cached(*_purged)


def test_a_client_of_a_named_network_purges_all_variants_of_a_url(purged: Cached) -> None:
    purged.answers(
        lambda request: answer(
            f"{len(purged.asked)} {request.get('x-way')}".encode(),
            fields=[*KEPT, ("Vary", "X-Way")],
        )
    )
    for way in "ab":
        purged.ask(fields=[("X-Way", way)])
    other = purged.ask(more="/other").body
    assert purged.ask("PURGE").status == 200
    assert purged.ask("PURGE").status == 404
    assert [purged.ask(fields=[("X-Way", way)]).body for way in "ab"] == [b"4 a", b"5 b"]
    assert purged.ask(more="/other").body == other
    assert "PURGE" not in purged.asked


def test_other_clients_may_not_purge(purged: Cached) -> None:
    purged.counts()
    purged.ask()
    with client(purged.lb) as peer:
        peer.sock.close()
        peer.sock = purged.lb.connect(source="127.0.0.2")
        assert peer.ask(purged.path, "PURGE").status == 403
    assert purged.ask().body == b"1"


def test_without_purge_the_method_is_passed_on(cached: Cached) -> None:
    cached.counts()
    cached.ask()
    assert cached.ask("PURGE").body == b"2"
    assert cached.asked == ["GET", "PURGE"]


def test_what_is_on_its_way_when_its_url_is_purged_is_not_kept(purged: Cached) -> None:
    def answering(_: object) -> bytes:
        number = len(purged.asked)
        if number == 1:
            purged.ask("PURGE")
        return answer(str(number).encode(), fields=KEPT)

    purged.answers(answering)
    assert [purged.ask().body for _ in range(3)] == [b"1", b"2", b"2"]
