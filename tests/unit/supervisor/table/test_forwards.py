"""Forward proxies in the table: each is a pool with one backend, and keeps its number over
reloads."""

from __future__ import annotations

from typing import Any

from l4lb.config.build import build
from l4lb.config.diff import compare
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.plain import to_plain
from l4lb.native.table import Table
from l4lb.supervisor.table import row_settings
from l4lb.supervisor.table.membership import Membership


def config(**forwards: dict[str, Any]) -> Config:
    listeners = {
        name: {"bind": [f"127.0.0.1:{4000 + at}"], "protocol": "socks5", "forward": name}
        for at, name in enumerate(forwards)
    }
    return build({"listeners": listeners, "forward": forwards}, Origin())


class Service:
    """A table whose configuration changes."""

    def __init__(self, found: Config) -> None:
        self.table = Table((2, 4, 4, 4, 16))
        self.membership = Membership(self.table)
        self.membership.start(found)
        self.config = found

    def reload(self, found: Config) -> None:
        changes = compare(to_plain(self.config), to_plain(found))
        self.membership.change(found, changes, now_ms=1)
        self.config = found

    @property
    def backends(self) -> list[str]:
        return sorted(f"{row.pool}/{row.name}" for row in self.table.backends())

    def number(self, name: str) -> int:
        return row_settings.forward_number(self.membership.pools.live[f"forward:{name}"])


def test_a_forward_proxy_is_a_pool_with_one_backend_that_is_no_change_of_a_pool() -> None:
    service = Service(config(office={}))
    assert [row.name for row in service.table.pools()] == ["forward:office"]
    assert service.backends == ["forward:office/outside"]
    changes = compare({}, to_plain(config(office={})))
    assert {one.kind for one in changes} >= {"forward", "listener"}
    assert not [one for one in changes if one.kind in ("pool", "backend")]


def test_its_number_stays_when_others_come_and_go() -> None:
    service = Service(config(a={}, b={}))
    before = service.number("b")
    service.reload(config(b={"private": "allow"}, c={}))
    assert service.number("b") == before
    assert service.number("c") not in (0, before)
    assert service.backends == ["forward:b/outside", "forward:c/outside"]


def test_what_the_worker_reads_of_it() -> None:
    given = {
        "policy_timeout": "1s", "private": "allow", "anonymous": False, "sni": "match",
        "on_policy_failure": "allow", "connections_per_user": 5, "bandwidth_per_user": "2KiB",
        "auth": {"htpasswd": "/etc/l4lb/users"}, "ports": [80, "1025-65535", 1, 2, 3],
    }  # fmt: skip
    found = config(office=given)
    values = row_settings.of_forward(found.forward["office"], 3, None, 7)
    assert values == {
        "forward_number": 4,
        "forward_private": True,
        "forward_private_set": None,
        "forward_paths": False,
        "forward_anonymous": False,
        "forward_wait_ms": 1_000,
        "forward_fails_open": True,
        "forward_cache": 7,
        "forward_sni": 2,
        "forward_user_connections": 5,
        "forward_user_bandwidth": 2048,
        "forward_ports_0": 80 << 16 | 80,
        "forward_ports_1": 1025 << 16 | 65535,
        "forward_ports_2": 1 << 16 | 1,
        "forward_ports_3": 2 << 16 | 2,  # four of them
        "forward_tunnel_ports_0": 443 << 16 | 443,
        "forward_tunnel_ports_1": 0,
        "forward_tunnel_ports_2": 0,
        "forward_tunnel_ports_3": 0,
    }
    assert set(row_settings.of_forward(None, 3, None).values()) == {0, None}
