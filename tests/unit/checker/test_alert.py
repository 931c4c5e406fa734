"""Alerts: bounded in number and time; the last state of every backend is reported."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from l4lb.checker import alert
from l4lb.checker.alert import BURST, Alerts
from l4lb.checker.types import Target
from l4lb.native.rows import Address

TARGET = Target(Address("127.0.0.1", 80), "web", "a")


def event(backend: str, health: str) -> dict[str, str]:
    return {"kind": f"backend_{health}", "backend": backend, "was": "?", "health": health}


async def until_said(path: Path, what: str) -> None:
    end = time.monotonic() + 20
    while what not in (path.read_text() if path.exists() else ""):
        assert time.monotonic() < end, f"{what} was not said: {path.read_text()}"
        await asyncio.sleep(0.01)


def writes(path: Path, more: str = "") -> list[str]:
    return ["/bin/sh", "-c", f'echo "$L4LB_HEALTH $L4LB_MERGED $1" >> {path}; {more}', "sh", "x"]


def test_what_comes_while_one_runs_is_merged_and_the_last_word_is_told(tmp_path: Path) -> None:
    said = tmp_path / "said"

    async def run() -> None:
        alerts = Alerts()
        alerts.put(writes(said, "sleep 0.5"), TARGET, event("web/a", "down"))
        await until_said(said, "down 0 x")
        for _ in range(50):
            alerts.put(writes(said), TARGET, event("web/a", "up"))
            alerts.put(writes(said), TARGET, event("web/a", "down"))
        alerts.put(writes(said), TARGET, event("web/a", "last"))
        await until_said(said, "last 100 x")

    asyncio.run(run())
    assert said.read_text().splitlines() == ["down 0 x", "last 100 x"]


def test_no_more_than_the_rate_allows_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert, "EVERY_S", 3600.0)
    said = tmp_path / "said"

    async def run() -> None:
        alerts = Alerts()
        for number in range(BURST + 5):
            alerts.put(writes(said), TARGET, event(f"web/{number}", "down"))
        end = time.monotonic() + 20
        while not said.exists() or len(said.read_text().splitlines()) < BURST:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert len(said.read_text().splitlines()) == BURST


def test_one_that_hangs_is_killed_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert, "TIMEOUT_S", 0.2)
    said = tmp_path / "said"

    async def run() -> None:
        alerts = Alerts()
        alerts.put(["/bin/sleep", "600"], TARGET, event("web/a", "down"))
        alerts.put(["/nowhere/x"], TARGET, event("web/b", "down"))
        alerts.put(writes(said), TARGET, event("web/c", "down"))
        await until_said(said, "down 0 x")

    asyncio.run(run())
