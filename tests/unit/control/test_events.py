"""Events that are kept, and clients that follow them."""

from __future__ import annotations

import asyncio
from typing import Any

from l4lb.control.events import EVENTS_KEPT, Events
from l4lb.control.serving.client import AdminClient
from tests.unit.control.conftest import Admin, Peer


def event(number: int) -> dict[str, Any]:
    return {"kind": "k", "number": number}


def test_a_follower_gets_what_was_and_then_each_that_comes() -> None:
    async def follow() -> None:
        events = Events()
        events.append(event(1))
        following = events.follow()
        assert await anext(following) == [event(1)]
        events.append(event(2))
        events.append(event(3))
        assert await anext(following) == [event(2), event(3)]
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        assert not waiting.done()
        events.append(event(4))
        assert await waiting == [event(4)]

    asyncio.run(follow())


def test_one_that_is_too_slow_learns_how_many_it_missed() -> None:
    async def follow() -> None:
        events = Events()
        following = events.follow()
        assert await anext(following) == []
        for number in range(EVENTS_KEPT + 7):
            events.append(event(number))
        first, *rest = await anext(following)
        assert first == {"kind": "events_missed", "count": 7}
        assert [one["number"] for one in rest] == list(range(7, EVENTS_KEPT + 7))

    asyncio.run(follow())


def test_followers_over_the_socket_get_each_event(admin: Admin) -> None:
    with AdminClient(admin.path) as client:
        parts = client.stream("events", follow=True)
        assert next(parts) == []
        for number in range(3):
            admin.tell({"event": {"kind": "k", "number": number}})
            (got,) = next(parts)
            assert got["number"] == number


def test_a_follower_that_leaves_leaves_nothing(admin: Admin) -> None:
    for _ in range(200):
        peer = Peer(admin.path)
        peer.frame({"id": 1, "command": "events", "args": {"follow": True}})
        assert peer.answer()["more"] is True
        peer.sock.close()
    with AdminClient(admin.path) as client:
        assert client.call("status")["version"]
