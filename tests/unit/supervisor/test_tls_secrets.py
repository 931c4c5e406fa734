"""Certificates in the supervisor: warnings of their expiry while nothing changes."""

from __future__ import annotations

import datetime
import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from l4lb.certificates.vault import Vault
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.native.table import Table
from l4lb.supervisor import tls_secrets
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.table.membership import Membership, capacities
from l4lb.supervisor.tls_secrets import Secrets

DAY_S = 86_400


class Clock:
    """A reactor whose time the test sets, and the time of day that goes with it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, delay_ms: int, callback: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now_ms + delay_ms, next(self._order), callback))

    def time(self) -> float:
        start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        return start.timestamp() + self.now_ms / 1000

    def pass_days(self, days: int) -> None:
        end = self.now_ms + days * DAY_S * 1000
        while self._timers and self._timers[0][0] <= end:
            self.now_ms, _, callback = heapq.heappop(self._timers)
            callback()
        self.now_ms = end


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what was logged since the last call, wherever the log goes."""
    shown = capsys.readouterr()
    return shown.out + shown.err


def config(folder: Path, ends: datetime.datetime) -> Config:
    """Returns a listener whose certificate expires then; its file is looked at once an hour."""
    issued = trustme.CA().issue_cert("localhost", not_after=ends)
    path = folder / "both.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    web: dict[str, Any] = {"bind": ["127.0.0.1:7000"], "pool": "web"}
    web["tls"] = {"certificates": [{"cert": str(path)}]}
    return build(
        {
            "process": {"tls": {"watch": "1h", "ticket_lifetime": "7d"}},
            "listeners": {"web": web},
            "pools": {"web": {"backends": ["127.0.0.1:8000"]}},
        },
        Origin(),
    )


def test_the_end_of_a_certificate_is_told_each_day_although_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(tls_secrets, "time", clock)
    known = config(tmp_path, datetime.datetime(2030, 1, 21, 12))
    table = Table(capacities(known))
    membership = Membership(table)
    membership.start(known, b"")
    mine = Secrets(cast("Reactor", clock), table, {}, Vault(), lambda: None)
    mine.take(known, membership.bindings)
    mine.start()
    clock.pass_days(6)
    assert "certificate" not in said(capsys)
    clock.pass_days(2)
    assert said(capsys).count("a certificate ends soon") == 2
    clock.pass_days(13)
    assert "a certificate has ended" in said(capsys)
    mine.close()
