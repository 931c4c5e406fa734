"""The runner between a provider and a supervisor; the test plays both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import follower as module
from l4lb.discovery import reach
from l4lb.discovery.follower import World
from l4lb.discovery.runner import Runner
from l4lb.discovery.types import Answer, DiscoveryError, Member

import pytest  # isort: skip

SETTINGS = Discovery.model_validate({"type": "file", "path": "/x", "interval": "100ms"})


class RefusedError(Exception):
    """The supervisor's refusal while another change is under way."""


class Play:
    """The world around a runner: the source's answers, and records of what was applied and
    reported."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[list[str] | Answer | DiscoveryError] = asyncio.Queue()
        self.applied: list[list[str]] = []
        self.events: list[Mapping[str, Any]] = []
        self.health: dict[str, str] = {}
        self.before: list[Member] = []
        self.away: set[str] = set()  # addresses without a route
        self.refusals = 0
        self.started = 0

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        self.started += 1
        while True:
            said = await self.says.get()
            if isinstance(said, DiscoveryError):
                raise said
            yield said if isinstance(said, Answer) else Answer(tuple(Member(one) for one in said))

    async def apply(self, _: str, backends: Sequence[Mapping[str, Any]]) -> object:
        if self.refusals:
            self.refusals -= 1
            raise RefusedError("busy")
        self.applied.append(sorted(one["address"] for one in backends))
        return None

    def world(self) -> World:
        return World(
            self.apply, self.events.append, lambda _: self.health, lambda _: self.before,
            lambda: 0, (RefusedError,), lambda *_: self,
            lambda address: address not in self.away,
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
    for name in ("FIRST_RETRY_S", "LOOK_S", "ANSWER_EVERY_S"):
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
        del stage.health["b"]  # its row is removed from the table
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


def test_bad_parts_of_answers_are_told_once_and_shown_while_they_last() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        runner.configure({"web": SETTINGS})
        ((_, state),) = runner.states()
        for _ in range(5):
            await stage.says.put(Answer((Member("a"),), ("AAAA fails",)))
        await until(lambda: state.answers == 5)
        assert state.faults == ("AAAA fails",)
        assert not state.error
        await stage.says.put(Answer((Member("a"),), ("AAAA fails", "b is bad")))
        await until(lambda: state.answers == 6)
        await stage.says.put(["a"])
        await until(lambda: state.answers == 7)
        assert state.faults == ()

    told = [event["text"] for event in play(story).told("discovery_incomplete")]
    assert told == ["AAAA fails", "b is bad"]


def test_a_source_that_fails_ever_again_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(stage: Play, runner: Runner) -> None:
        runner.configure({"web": SETTINGS})
        for n in range(100):
            await stage.says.put(Answer((Member("a"),), (f"part {n}",)))
            await stage.says.put(DiscoveryError("gone"))
        await until(lambda: stage.started == 101)

    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.0)
    stage = play(story)
    assert len(stage.events) <= 2 * module.SPELLS_BURST + 2


def test_a_source_that_fails_and_goes_on_is_followed_all_the_same() -> None:
    class GoesOn(Play):
        async def follow(
            self, _: Sequence[Member]
        ) -> AsyncGenerator[Answer | DiscoveryError, None]:
            self.started += 1
            while True:
                said = await self.says.get()
                yield said if isinstance(said, DiscoveryError) else Answer((Member("a"),))

    async def run() -> GoesOn:
        stage = GoesOn()
        runner = Runner(stage.world())
        runner.configure({"web": SETTINGS})
        await stage.says.put(DiscoveryError("gone"))
        await stage.says.put(["a"])
        await until(lambda: stage.told("discovery_recovered"))
        await runner.close()
        return stage

    stage = asyncio.run(run())
    assert stage.started == 1
    assert stage.applied == [["a"]]


def test_what_the_supervisor_refuses_gives_way_to_a_newer_answer() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        stage.refusals = 1_000_000
        runner.configure({"web": SETTINGS})
        await stage.says.put(["a", "b"])
        await until(lambda: stage.told("discovery_not_applied"))
        await stage.says.put(["a"])
        ((_, state),) = runner.states()
        await until(lambda: state.answers == 2)
        assert state.error == "busy"
        stage.refusals = 0
        await until(lambda: stage.applied)
        await until(lambda: not state.error)

    stage = play(story)
    assert stage.applied == [["a"]]
    assert len(stage.told("discovery_not_applied")) == 1


V4, V6, LOCAL = "10.0.0.1:80", "[fd00::1]:80", "unix:/run/a.sock"


def test_a_family_without_a_route_is_left_out_until_there_is_one() -> None:
    async def story(stage: Play, runner: Runner) -> None:
        stage.away = {V6}
        runner.configure({"web": SETTINGS})
        await stage.says.put([V4, V6, LOCAL])
        await until(lambda: stage.applied)
        ((_, state),) = runner.states()
        assert state.unreachable == (V6,)
        await stage.says.put([V4, V6, LOCAL])
        await until(lambda: state.answers == 2)
        stage.away = set()
        await until(lambda: len(stage.applied) == 2)
        assert state.unreachable == ()

    stage = play(story)
    assert stage.applied == [sorted([V4, LOCAL]), sorted([V4, V6, LOCAL])]
    (told,) = stage.told("discovery_unreachable")
    assert told["backends"] == [V6]
    assert told["text"] == "this host has no route to 1 backends by ipv6"


@pytest.mark.parametrize(
    ("family", "away", "used"),
    [
        ("auto", {V4, V6}, [V4, V6]),  # nothing would be left
        ("auto", {V4}, [V6]),
        ("auto", set(), [V4, V6]),
        ("any", {V6}, [V4, V6]),
        ("ipv4", {V4}, [V4]),
        ("ipv6", {V6}, [V6]),
    ],
)
def test_which_families_are_used(family: str, away: set[str], used: list[str]) -> None:
    members = [Member(V4), Member(V6)]
    kept, _ = reach.sift(members, family, lambda address: address not in away)
    assert [one.address for one in kept] == used


def test_this_host_has_a_route_to_itself() -> None:
    assert reach.has_route("127.0.0.1:1")
    assert reach.has_route("unix:/no/such/socket")
