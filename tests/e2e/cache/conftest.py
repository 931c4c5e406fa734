"""One origin and one balancer with a cache that many tests share. Each test asks for paths of its
own, so no test finds what another one has stored."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from ..harness import Balancer, until
from ..harness.http import Answer, Fields, Peer, answer, before, client
from ..harness.origin import Answering, Origin

KEPT = [("Cache-Control", "max-age=1000")]
_numbers = itertools.count(1)


@dataclass
class Cached:
    """A balancer with one worker and a cache, and the origin behind it. path: of this test."""

    lb: Balancer
    origin: Origin
    path: str = field(default_factory=lambda: f"/{next(_numbers)}")

    def answers(self, answering: Answering) -> None:
        """Gives the origin other answers."""
        self.origin.answering = answering

    def counts(self, *, fields: Fields = KEPT, status: int = 200) -> None:
        """Makes the origin answer with the number of its requests, and these fields."""
        self.answers(lambda _: answer(str(len(self.asked)).encode(), status, fields=fields))

    @property
    def asked(self) -> list[str]:
        """The methods of this test's requests that reached the origin."""
        return [one.method for one in self.origin.requests if one.target.startswith(self.path)]

    def client(self) -> Peer:
        return client(self.lb)

    def ask(
        self, method: str = "GET", *, more: str = "", fields: Fields = (), body: bytes = b""
    ) -> Answer:
        """Asks for this test's path on a connection of its own."""
        with self.client() as peer:
            return peer.ask(self.path + more, method, fields=fields, body=body)


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Balancer, Origin]]:
    with Origin() as origin, before([origin.row], cache={}) as lb:
        yield lb, origin


@pytest.fixture
def cached(_shared: tuple[Balancer, Origin]) -> Cached:
    """The shared pair, with a path that no test had before."""
    return Cached(*_shared)


# ---- on disk -------------------------------------------------------------------------------------


def again(lb: Balancer) -> Balancer:
    """Returns another balancer with the same configuration."""
    config = copy.deepcopy(lb.config)
    assert config is not None
    del config["process"]["admin"]
    return Balancer(config)


def is_counted(lb: Balancer) -> bool:
    """Whether the keeper has counted the files: from then on answers are written."""
    return bool(lb.ask("cache")[0]["disk_bytes"] is not None)


@contextlib.contextmanager
def running(lb: Balancer) -> Iterator[Balancer]:
    with lb:
        until(lambda: is_counted(lb), "the files are counted")
        yield lb
