"""One origin and one balancer that many tests share: what the origin answers is theirs to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ..harness import Balancer
from ..harness.http import Peer, before, client
from ..harness.origin import Answering, Origin, path_and_name


@dataclass
class Pair:
    """A balancer with one worker and default settings, and the origin behind it."""

    lb: Balancer
    origin: Origin

    def client(self) -> Peer:
        return client(self.lb)

    def answers(self, answering: Answering) -> None:
        """Gives the origin other answers."""
        self.origin.answering = answering


@pytest.fixture(scope="module")
def _pair() -> Iterator[Pair]:
    with Origin() as origin, before([origin.row]) as lb:
        yield Pair(lb, origin)


@pytest.fixture
def pair(_pair: Pair) -> Pair:
    """The shared pair, as if it were new."""
    _pair.answers(path_and_name("a"))
    _pair.origin.requests.clear()
    return _pair
