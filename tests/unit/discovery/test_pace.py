"""No source is asked faster than its limit, however it answers. Each provider runs with its
follower, over minutes of a simulated clock."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import files
from l4lb.discovery.follower import ANSWER_EVERY_S, ANSWERS_BURST, World
from l4lb.discovery.pace import Backoff, Bucket
from l4lb.discovery.runner import Runner
from tests.unit.discovery.clock import FakeClock
from tests.unit.discovery.nameserver import nameserver
from tests.unit.discovery.servers import Answer, serving

MINUTE_S = 60.0


def follow_for(seconds: float, enough: Callable[[], bool] = lambda: True, **settings: Any) -> float:
    """Follows a source for this time of its own clock, and until there was enough. Returns the
    time."""
    clock = FakeClock()

    async def apply(_: str, __: object) -> None:
        return None

    async def run() -> None:
        world = World(
            apply, lambda _: None, lambda _: {}, lambda _: [], lambda: 0,
            has_route=lambda _: True, clock=clock,
        )  # fmt: skip
        runner = Runner(world)
        runner.configure({"web": Discovery.model_validate(settings)})
        async with asyncio.timeout(60):
            while clock.now < seconds or not enough():
                await asyncio.sleep(0.001)
        await runner.close()

    asyncio.run(run())
    return clock.now


def maximum(seconds: float, every_s: float = ANSWER_EVERY_S) -> float:
    """Returns the maximum number of requests to a source in this time."""
    return ANSWERS_BURST + seconds / every_s + 1


@pytest.mark.parametrize("step", [0, 1, -1], ids=["stays", "grows", "falls"])
def test_a_consul_that_answers_at_once_is_asked_no_faster(step: int) -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        index = max(0, 50 + step * asked)
        return web.json_response([], headers={"X-Consul-Index": str(index)})

    with serving(answer) as url:
        seconds = follow_for(MINUTE_S, lambda: asked > 20, type="consul", name="web", url=url)
    assert 20 < asked <= maximum(seconds)


def etcd(asked: list[str], watch: str) -> Answer:
    """Runs an etcd whose watch answers this and ends at once."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.endswith("/watch"):
            return web.Response(text=watch)
        value = base64.b64encode(b"10.0.0.1:1").decode()
        return web.json_response({"header": {"revision": "7"}, "kvs": [{"value": value}]})

    return answer


@pytest.mark.parametrize(
    "watch",
    ["", '{"result": {"events": [{}]}}\n', '{"result": {}}\n' * 1_000, "x" * 500_000, "[]\n"],
    ids=["ends", "events", "talks", "long", "nonsense"],
)
def test_an_etcd_whose_watch_ends_at_once_is_asked_no_faster(watch: str) -> None:
    asked: list[str] = []
    with serving(etcd(asked, watch)) as url:
        seconds = follow_for(
            MINUTE_S, lambda: len(asked) > 6, type="etcd", url=url, prefix="/", interval="10s"
        )
    reads = sum(path.endswith("/range") for path in asked)
    assert 3 < reads <= maximum(seconds)
    assert len(asked) <= 2 * reads


def test_a_url_is_asked_each_interval() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response([])

    with serving(answer) as url:
        seconds = follow_for(MINUTE_S, lambda: asked > 5, type="http", url=url, interval="1s")
    assert 5 < asked <= maximum(seconds, 1.0)


def test_a_source_that_fails_at_once_is_asked_less_and_less_often() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=500)

    with serving(answer) as url:
        seconds = follow_for(5 * MINUTE_S, lambda: asked > 9, type="consul", name="x", url=url)
    assert asked <= 8 + seconds / 30


def test_a_time_to_live_of_nothing_is_asked_for_each_min_ttl() -> None:
    with nameserver() as server:
        server.zone = {"web.example A": ["web.example 0 A 10.0.0.1"]}
        question = "web.example A"
        seconds = follow_for(
            MINUTE_S, lambda: server.count(question) > 5, type="dns", name="web.example",
            record="a", port=80, servers=[server.server],
        )  # fmt: skip
        assert 5 < server.count(question) <= maximum(seconds, 1.0)


@pytest.mark.parametrize("text", ["echo '[]'", "exit 1", "true"], ids=["list", "fails", "silent"])
def test_a_program_that_ends_at_once_is_run_no_faster(text: str, tmp_path: Path) -> None:
    note = tmp_path / "runs"
    note.write_text("")
    command = ["/bin/sh", "-c", f"echo run >> {note}; {text}"]
    seconds = follow_for(
        20.0, lambda: note.read_text().count("run") > 5,
        type="exec", command=command, interval="1s",
    )  # fmt: skip
    assert 5 < note.read_text().count("run") <= maximum(seconds, 0.5)


def test_lines_without_end_are_taken_no_faster() -> None:
    taken = 0

    def count() -> bool:
        return taken > 10

    async def apply(_: str, __: object) -> None:
        nonlocal taken
        taken += 1

    script = 'n=0; while :; do n=$((n % 9 + 1)); echo "[\\"10.0.0.1:$n\\"]"; done'
    clock = FakeClock()

    async def run() -> None:
        world = World(
            apply, lambda _: None, lambda _: {}, lambda _: [], lambda: 0,
            has_route=lambda _: True, clock=clock,
        )  # fmt: skip
        runner = Runner(world)
        settings = {"type": "exec", "command": ["/bin/sh", "-c", script]}
        runner.configure({"web": Discovery.model_validate(settings)})
        async with asyncio.timeout(60):
            while not count():
                await asyncio.sleep(0.001)
        await runner.close()

    asyncio.run(run())
    assert taken <= maximum(clock.now)


@contextlib.contextmanager
def storm(folder: Path) -> Iterator[None]:
    """Makes files appear and disappear beside the followed one, without end."""
    over = threading.Event()

    def blow() -> None:
        while not over.wait(0.001):
            (folder / "other").write_text("x")
            (folder / "other").unlink()

    thread = threading.Thread(target=blow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


def test_a_storm_in_its_folder_makes_a_file_be_read_no_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps(["10.0.0.1:1"]))
    reads = 0
    before = files.read

    def read(name: str, at_most: int) -> bytes:
        nonlocal reads
        reads += name == str(path)
        return before(name, at_most)

    monkeypatch.setattr(files, "read", read)
    with storm(tmp_path):
        seconds = follow_for(5.0, lambda: reads > 6, type="file", path=str(path))
    assert 6 < reads <= maximum(seconds)


# ---- the limits themselves ---------------------------------------------------------------------


def test_a_bucket_gives_a_burst_and_then_a_turn_at_a_time() -> None:
    clock = FakeClock()
    bucket = Bucket(clock, 3, 2.0)

    async def turns(count: int) -> float:
        before = clock.now
        for _ in range(count):
            await bucket.turn()
        return clock.now - before

    assert asyncio.run(turns(3)) == 0
    assert asyncio.run(turns(5)) == pytest.approx(10.0)
    assert not bucket.take()
    clock.now += 100
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_waits_double_up_to_the_most_and_begin_anew_after_a_calm() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, 0.5, 4.0)

    def fail() -> float:
        wait_s = backoff.next_s()
        clock.now += wait_s
        return wait_s

    assert [fail() for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    clock.now += 3.9  # an answer in between does not help a source that keeps failing
    assert fail() == 4.0
    clock.now += 4.1
    assert fail() == 0.5
    backoff.reset()
    assert fail() == 0.5
    assert Backoff(clock, 0.5, 0.1).next_s() == 0.1
