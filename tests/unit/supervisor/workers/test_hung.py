"""Workers that hang: when and how often they are reported, and what happens to them."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest

from l4lb.config.model import Process
from l4lb.native.table import Table
from l4lb.supervisor.process.pulse import LOOK_EVERY_MS, SILENT_LOOKS
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.workers import hung
from l4lb.supervisor.workers.hung import HungWorkers
from l4lb.supervisor.workers.workers import Workers

PID = 77


class Scene:
    """One worker, and a clock that the test sets."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.now_ms = 1_000
        self.row = types.SimpleNamespace(
            index=0, started_ms=900, beat_ms=950, state="runs", active=3
        )
        self.told: list[str] = []
        self.killed = 0
        self.wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        child = types.SimpleNamespace(pid=PID, kill=self._kill)
        slot = types.SimpleNamespace(child=child, wakeup_fd=self.wakeup_fd)
        self.workers = types.SimpleNamespace(stopping=False, slots={0: slot})
        self._mine = HungWorkers(
            cast("Reactor", types.SimpleNamespace(every=self._every)),
            cast("Table", types.SimpleNamespace(workers=lambda: [self.row], set_hung=self._set)),
            cast("Workers", self.workers),
            lambda: Process.model_validate({"hung_worker": policy}),
            self._tell,
        )

    def _every(self, delay_ms: int, callback: Callable[[], None]) -> None:
        assert (delay_ms, callback.__name__) == (LOOK_EVERY_MS, "look")

    def _set(self, _index: int, is_hung: bool) -> None:
        self.row.state = "hung" if is_hung else "runs"

    def _kill(self) -> None:
        self.killed += 1

    def _tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        assert (fields["worker"], fields["pid"]) == (0, PID)
        self.told.append(kind)

    def looks(self, count: int, *, beats: bool = False) -> None:
        """Makes this number of looks, each in time. beats: the worker makes a turn before each."""
        for _ in range(count):
            self.now_ms += LOOK_EVERY_MS
            if beats:
                self.row.beat_ms = self.now_ms
            self._mine.look()

    def rings(self) -> int:
        """Returns how often the worker was woken by its eventfd."""
        try:
            return os.eventfd_read(self.wakeup_fd)
        except BlockingIOError:
            return 0


@pytest.fixture(params=["tell", "replace"])
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    one = Scene(request.param)
    monkeypatch.setattr(hung, "monotonic_ms", lambda: one.now_ms)
    yield one
    os.close(one.wakeup_fd)


def test_a_worker_without_a_sign_of_life_is_told_once_and_replaced_if_asked(scene: Scene) -> None:
    scene.looks(SILENT_LOOKS)
    assert scene.told == []
    scene.looks(5)
    assert (scene.told, scene.row.state) == (["worker_hung"], "hung")
    assert scene.killed == (scene.policy == "replace")


def test_one_that_goes_on_is_told_too(scene: Scene) -> None:
    scene.looks(SILENT_LOOKS + 1)
    scene.looks(3, beats=True)
    assert (scene.told, scene.row.state) == (["worker_hung", "worker_goes_on"], "runs")


def test_an_idle_worker_is_asked_for_a_sign_and_a_busy_one_is_not(scene: Scene) -> None:
    scene.looks(3)
    assert scene.rings() == 3
    scene.looks(1, beats=True)
    scene.looks(4, beats=True)
    assert scene.rings() == 0


def test_a_worker_that_has_not_begun_or_is_to_end_is_not_judged(scene: Scene) -> None:
    scene.row.beat_ms = 10  # the last turn of an earlier process
    scene.looks(3 * SILENT_LOOKS)
    scene.row.beat_ms = scene.now_ms
    scene.workers.stopping = True
    scene.looks(3 * SILENT_LOOKS)
    assert scene.told == []


def test_after_a_stop_of_everything_nobody_is_told(scene: Scene) -> None:
    scene.looks(SILENT_LOOKS)
    scene.now_ms += 3_600_000
    scene.looks(1)
    assert scene.told == []
