"""The runner between a provider that a test plays and a supervisor that it plays too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import runner as module
from l4lb.discovery.runner import Runner, World
from l4lb.discovery.types import DiscoveryError, Member

import pytest  # isort: skip

SETTINGS = Discovery.model_validate({"type": "file", "path": "/x", "interval": "100ms"})


class RefusedError(Exception):
    """What the supervisor says when another change is under way."""


class Play:
    """The world around a runner: what the source says, what was applied and told."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[list[str] | DiscoveryError] = asyncio.Queue()
        self.applied: list[list[str]] = []
        self.events: list[Mapping[str, Any]] = []
        self.health: dict[str, str] = {}
        self.before: list[Member] = []
        self.refusals = 0
        self.started = 0

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        self.started += 1
        while True:
            said = await self.says.get()
            if isinstance(said, DiscoveryError):
                raise said
            yield [Member(one) for one in said]

    async def apply(self, _: str, backends: Sequence[Mapping[str, Any]]) -> object:
        if self.refusals:
            self.refusals -= 1
            raise RefusedError("busy")
        self.applied.append(sorted(one["address"] for one in backends))
        return None

    def world(self) -> World:
        return World(
            self.apply, self.events.append, lambda _: self.health, lambda _: self.before,
            lambda: 0, (RefusedError,), lambda _: self,
        )  # fmt: skip

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


async def until(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not probe():
            await asyncio.sleep(0.005)


def play(story: Callable[[Play, Runner], Awaitable[None]]) -> Play:
    async def run() -> Play:
        stage = Play()
        runner = Runner(stage.world())
        try:
            await story(stage, runner)
        finally:
            await runner.close()
        return stage

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_RETRY_S", "HELD_LOOK_S", "APPLY_RETRY_S"):
        monkeypatch.setattr(module, name, 0.01)


def test_changes_are_applied_once_and_told() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        runner.configure({"web": SETTINGS})
        for said in (["a", "b"], ["a", "b"], ["a"]):
            await stage.says.put(said)
        await until(lambda: len(stage.applied) == 2)

    stage = play(story)
    assert stage.applied == [["a", "b"], ["a"]]
    first, second = stage.told("discovery_changed")
    assert (first["added"], second["removed"]) == (["a", "b"], ["b"])


def test_a_failure_keeps_what_was_found_and_is_told_once() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        runner.configure({"web": SETTINGS})
        await stage.says.put(["a"])
        for _ in range(3):
            await stage.says.put(DiscoveryError("gone"))
        await until(lambda: stage.started == 4)
        assert stage.applied == [["a"]]
        ((_, state),) = runner.states()
        assert (state.failures, state.error) == (3, "gone")
        await stage.says.put(["a"])
        await until(lambda: stage.told("discovery_recovered"))

    stage = play(story)
    assert len(stage.told("discovery_failed")) == 1
    assert stage.applied == [["a"]]


def test_a_large_loss_waits_for_the_checks() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        stage.health = dict.fromkeys("abcd", "up")
        runner.configure({"web": SETTINGS})
        await stage.says.put(["a", "b", "c", "d"])
        await stage.says.put(["a"])
        await until(lambda: stage.told("discovery_held"))
        assert stage.applied == [["a", "b", "c", "d"]]
        stage.health["b"] = "down"
        await until(lambda: len(stage.applied) == 2)
        del stage.health["b"]  # it is in the table no more
        await asyncio.sleep(0.05)
        assert len(stage.applied) == 2
        stage.health.update(c="down", d="down")
        await until(lambda: ["a"] in stage.applied)
        ((_, state),) = runner.states()
        await until(lambda: not state.held)

    stage = play(story)
    assert stage.applied[0] == ["a", "b", "c", "d"]
    assert stage.applied[1] == ["a", "c", "d"]


def test_what_an_earlier_process_found_is_held_too() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        stage.before = [Member(one) for one in "abcd"]
        stage.health = dict.fromkeys("abcd", "up")
        runner.configure({"web": SETTINGS})
        await stage.says.put([])
        await until(lambda: stage.told("discovery_held"))
        ((_, state),) = runner.states()
        assert state.held == ("a", "b", "c", "d")

    assert play(story).applied == []


def test_a_supervisor_that_is_busy_is_asked_again() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        stage.refusals = 3
        runner.configure({"web": SETTINGS})
        await stage.says.put(["a"])
        await until(lambda: stage.applied)

    stage = play(story)
    assert stage.applied == [["a"]]
    assert len(stage.told("discovery_not_applied")) == 1


def test_a_reload_leaves_sources_that_stay_in_peace() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        runner.configure({"web": SETTINGS})
        await until(lambda: stage.started == 1)
        runner.configure({"web": SETTINGS, "other": SETTINGS})
        await until(lambda: stage.started == 2)
        runner.configure({"other": SETTINGS})
        assert [name for name, _ in runner.states()] == ["other"]
        await asyncio.sleep(0.05)
        assert stage.started == 2

    play(story)


def test_a_fault_of_ours_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(stage: Play, runner: Runner) -> None:
        monkeypatch.setattr(module, "take", lambda *_, **__: 1 / 0)
        runner.configure({"web": SETTINGS})
        await stage.says.put(["a"])
        await until(lambda: stage.started == 2)

    (told,) = play(story).told("discovery_failed")
    assert "ZeroDivisionError" in told["text"]
