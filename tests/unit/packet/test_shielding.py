"""The shield as the supervisor runs it: it follows the sets of the shared table, leaves out what
finds no room, and goes on with an old program's descriptors where it may not load a new one."""

from __future__ import annotations

import ipaddress
import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from l4lb.config.address import Bind
from l4lb.config.model import Config
from l4lb.config.reading.parse import loads
from l4lb.config.tables.listener import Listener
from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.native.table import Table
from l4lb.packet import program
from l4lb.packet.plan import Numbers
from l4lb.supervisor.shielding import Shielding
from l4lb.supervisor.sockets.listening import Listening

pytestmark = pytest.mark.usefixtures("shield")
LIST = 5  # the number of the access list in the table
TEXT = """
[process.packet]
interfaces = ["lo"]

[listeners.web]
bind = ["10.5.0.1:80"]
pool = "web"
access = { deny = ["10.5.0.2"], refusal = "drop" }

[pools.web]
backends = ["127.0.0.1:1"]
"""


@dataclass
class Sets:
    versions: dict[int, int] = field(default_factory=dict)
    on_change: Callable[[], None] = lambda: None

    def version(self, number: int) -> int:
        return self.versions.get(number, 0)


@dataclass
class Policy:
    """What the shield asks of a listener's policy."""

    config: Config
    sets: Sets = field(default_factory=Sets)
    refusal = "drop"

    @property
    def blocks(self) -> Policy:
        return self

    def guarded(self, name: str) -> tuple[Listener, Numbers]:
        return self.config.listeners[name], Numbers(access=LIST)


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


class Later:
    """A reactor that does nothing by itself."""

    def after(self, _ms: int, _work: Callable[[], None]) -> None: ...
    def every(self, _ms: int, _work: Callable[[], None]) -> None: ...


class Host:
    """A service with one listener."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.config = loads(TEXT, "l4lb.toml")
        self.table = Table((1, 1, 1, 1, 1))
        self.policy = Policy(self.config)
        bind = Bind("10.5.0.1", server.getsockname()[1])
        self.listening = [Listening(bind, "web", 0, {0: server})]

    def shielding(
        self, before: dict[str, Any] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> Shielding:
        parts: list[Any] = [Later(), self.table, self.policy, self.listening]
        made = Shielding(*parts, before or {}, clock)
        made.start(self.config)
        return made

    def deny(self, networks: str) -> None:
        sets.rebuild(self.table, {LIST: [(networks.encode(), sets.DENY)]}, [])
        self.policy.sets.versions[LIST] = self.policy.sets.version(LIST) + 1

    def denied(self, shielding: Shielding, source: str) -> bool:
        """Returns whether the shield drops a client's SYN."""
        before = shielding.shown(self.config)[0]["denied"]
        with socket.socket() as client:
            client.bind((source, 0))
            client.setblocking(False)
            client.connect_ex(self.server.getsockname())  # over lo a SYN is there at once
        return bool(shielding.shown(self.config)[0]["denied"] > before)


def follow(shielding: Shielding) -> int:
    """Lets the shield follow what has changed. Returns the number of turns that it has taken."""
    turns = 1
    shielding.sync()
    while shielding.is_busy:
        shielding.sync()
        turns += 1
    return turns


def given(old: Shielding) -> dict[str, Any]:
    """Returns what a next program in another process would get: descriptors of its own."""
    told = old.carried()
    return {**told, "fds": [os.dup(fd) for fd in told["fds"]]}


@pytest.fixture
def host() -> Iterator[Host]:
    with socket.create_server(("10.5.0.1", 0)) as server:
        yield Host(server)


def test_it_follows_the_sets_of_the_table(host: Host) -> None:
    host.deny("10.5.0.2")
    shielding = host.shielding()
    try:
        assert host.denied(shielding, "10.5.0.2")
        host.deny("10.5.0.1")
        follow(shielding)
        assert host.denied(shielding, "10.5.0.1")
        assert not host.denied(shielding, "10.5.0.2")
    finally:
        shielding.stop()
    assert not host.denied(shielding, "10.5.0.1")


def test_a_long_list_is_taken_over_in_slices_and_the_one_before_is_in_force_until_then(
    host: Host,
) -> None:
    from l4lb.native.packet import SLICE

    many = [str(ipaddress.IPv4Address(n << 1)) for n in range(4 * SLICE)]
    host.deny("10.5.0.2")
    shielding = host.shielding(clock=itertools.count().__next__)  # there is never any time left
    try:
        host.deny("\n".join([*many, "10.5.0.1"]))
        shielding.sync()
        assert shielding.is_busy
        assert host.denied(shielding, "10.5.0.2")
        assert not host.denied(shielding, "10.5.0.1")
        assert follow(shielding) >= 4
        assert host.denied(shielding, "10.5.0.1")
        assert not host.denied(shielding, "10.5.0.2")
        host.deny("\n".join(many))
        shielding.sync()
        host.deny("10.5.0.2")  # while that list was being put in
        follow(shielding)
        assert host.denied(shielding, "10.5.0.2")
        assert not host.denied(shielding, "10.5.0.1")
    finally:
        shielding.stop()


def test_a_list_without_room_stays_with_the_workers_until_it_fits(host: Host) -> None:
    from l4lb.native.packet import NETWORKS_MAX

    most = "\n".join(str(ipaddress.IPv4Address(n << 1)) for n in range(NETWORKS_MAX * 2 // 3))
    host.deny(f"{most}\n10.5.0.2")
    shielding = host.shielding()
    try:
        host.deny(f"{most}\n10.5.0.1")  # there is room for one of both
        while host.denied(shielding, "10.5.0.2"):
            assert shielding.is_busy or not host.denied(shielding, "10.5.0.1")
            shielding.sync()
        assert not host.denied(shielding, "10.5.0.1")
        follow(shielding)
        follow(shielding)  # now that there is room
        assert host.denied(shielding, "10.5.0.1")
    finally:
        shielding.stop()


def test_without_rights_an_old_program_s_shield_goes_on_with_its_counts(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: bool) -> None:
        raise L4lbError("not you")

    host.deny("10.5.0.2")
    old = host.shielding()
    assert host.denied(old, "10.5.0.2")
    told = given(old)
    monkeypatch.setattr(program, "load", refused)
    host.deny("10.5.0.1")
    new = host.shielding(told)
    try:
        new.follow()
        assert new.shown(host.config)[0]["denied"] >= 1, "what the old program counted"
        assert host.denied(new, "10.5.0.1")
        assert not host.denied(new, "10.5.0.2")
    finally:
        new.stop()
    assert not host.denied(new, "10.5.0.1")


def test_a_new_program_takes_the_place_of_the_old_one(host: Host) -> None:
    host.deny("10.5.0.2")
    old = host.shielding()
    new = host.shielding(given(old))
    try:
        new.follow()
        assert host.denied(new, "10.5.0.2")
        assert new.shown(host.config)[0]["denied"] >= 1
    finally:
        new.stop()


def test_a_shield_that_is_off_loads_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "is_built", lambda: False)
    host.config = loads(TEXT.replace('["lo"]', '["lo"]\nshield = "off"'), "l4lb.toml")
    shielding = host.shielding()
    (row,) = shielding.shown(host.config)
    assert (row["shield"], row["interfaces"], row["workers"]) == (None, [], "all")
    shielding.stop()


@pytest.mark.parametrize("way", ["tc", "xdp"])
def test_an_interface_that_comes_back_has_its_shield_again(host: Host, way: str) -> None:
    text = TEXT.replace('["lo"]', f'["lo", "spare"]\nshield = "{way}"')
    host.config = loads(text, "l4lb.toml")

    def shown() -> list[str]:
        return list(shielding.shown(host.config)[0]["interfaces"])

    ip("link", "add", "spare", "type", "veth", "peer", "name", "other")
    shielding = host.shielding()
    try:
        assert shown() == ["lo", "spare"]
        ip("link", "del", "spare")
        shielding.sync()
        assert shown() == ["lo"]
        ip("link", "add", "spare", "type", "veth", "peer", "name", "other")
        shielding.sync()
        assert shown() == ["lo", "spare"]
        shielding.sync()
        assert shown() == ["lo", "spare"]
    finally:
        shielding.stop()
        ip("link", "del", "spare")


def test_another_program_of_xdp_is_left_alone(host: Host) -> None:
    host.config = loads(TEXT.replace('["lo"]', '["lo"]\nshield = "xdp"'), "l4lb.toml")
    first = host.shielding()
    try:
        assert first.shown(host.config)[0]["shield"] == "xdp (generic)"
        with pytest.raises(L4lbError, match="interface lo: another program of XDP is there"):
            host.shielding()
    finally:
        first.stop()


def test_an_upgrade_may_change_between_tc_and_xdp(host: Host) -> None:
    host.deny("10.5.0.2")
    told = given(host.shielding())
    for way in ("xdp", "tc"):
        host.config = loads(TEXT.replace('["lo"]', f'["lo"]\nshield = "{way}"'), "l4lb.toml")
        new = host.shielding(told)
        new.follow()
        assert host.denied(new, "10.5.0.2")
        told = given(new)
    new.stop()
    assert not host.denied(new, "10.5.0.2")


def test_without_rights_and_without_an_old_program_it_is_an_error(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "is_built", lambda: False)
    with pytest.raises(L4lbError, match="built without programs"):
        host.shielding()
