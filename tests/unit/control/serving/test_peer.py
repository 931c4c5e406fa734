"""The peer of the admin socket has a user's name, if the host gives it soon."""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
import time

import pytest

from l4lb.control.serving import peer
from l4lb.control.serving.peer import Peer, Users, by

PATIENCE_S = 20


def test_a_user_is_named_and_one_that_nobody_knows_is_a_number() -> None:
    async def both() -> tuple[str, str]:
        users = Users()
        return await users.name(os.getuid()), await users.name(4_000_000_123)

    assert asyncio.run(both()) == (pwd.getpwuid(os.getuid()).pw_name, "")
    told = asyncio.run(by(Peer(7, 4_000_000_123, frozenset()), Users()))
    assert told == {"via": "admin", "user": "", "uid": 4_000_000_123, "pid": 7}


def test_a_directory_that_does_not_answer_costs_one_asker_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(peer, "_name", lambda _: "late" if gate.wait(PATIENCE_S) else "")
    monkeypatch.setattr(peer, "NAME_TIMEOUT_S", 0.05)

    async def ask() -> list[str]:
        users = Users()
        first = [await users.name(1) for _ in range(100)]
        gate.set()
        while not (last := await users.name(1)):
            await asyncio.sleep(0.01)
        return [*first, last]

    started = time.monotonic()
    assert asyncio.run(ask()) == [*[""] * 100, "late"]
    assert time.monotonic() - started < PATIENCE_S
