"""Run-time access rules: in force at once, stronger than the configuration, until they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import AdminError
from l4lb.native import listener_policy as native
from l4lb.native import sets
from l4lb.native.table import Table
from l4lb.supervisor.access import runtime_rules as module
from l4lb.supervisor.table.listener_policy import ListenerPolicy


def config(**access: Mapping[str, Any]) -> Config:
    """Returns a configuration with a listener for each name, with these rules."""
    listeners = {
        name: {"bind": [f"127.0.0.1:{7000 + n}", f"127.0.0.2:{7000 + n}"], "pool": "web"}
        | ({"access": dict(rules)} if rules else {})
        for n, (name, rules) in enumerate(access.items())
    }
    pools = {"web": {"backends": ["127.0.0.1:1"]}}
    return build({"listeners": listeners, "pools": pools}, Origin())


class House:
    """A table with the listener policy of a configuration."""

    def __init__(self, first: Config) -> None:
        self.table = Table((1, 8, 1, 1, 1))
        self.edge = ListenerPolicy(self.table)
        self.rules = self.edge.rules
        self.told: list[dict[str, Any]] = []
        self.rules.tell = lambda kind, fields: self.told.append({"kind": kind, **fields})
        self.rows: dict[tuple[str, str], int] = {}
        self.configure(first)

    def configure(self, to: Config) -> None:
        for name, listener in to.listeners.items():
            for bind in listener.bind:
                self.rows.setdefault((name, str(bind)), len(self.rows))
        self.config = to
        self.edge.configure(to, self.rows, {"web": 0})

    def comes_in(self, listener: str, address: str) -> bool:
        """Returns whether the client comes in. All addresses of the listener must agree."""
        said = {
            not native.denies(self.table, row, address)
            for (name, _), row in self.rows.items()
            if name == listener
        }
        assert len(said) == 1
        return said.pop()

    def shown(self, **args: Any) -> list[tuple[Any, ...]]:
        return [
            (row["listener"], row["network"], row["rule"], row["from"], row["left_s"])
            for row in self.rules.shown(self.config.listeners, args, 1_000)
        ]


@pytest.fixture
def house() -> House:
    return House(config(open={}, closed={"allow": ["10.0.0.0/8"]}, mixed={"deny": ["10.1.0.0/16"]}))


def of(listener: str, network: str, **more: Any) -> dict[str, Any]:
    return {"listener": listener, "network": network, **more}


def test_a_rule_of_run_time_comes_before_those_of_the_configuration(house: House) -> None:
    assert not house.comes_in("mixed", "10.1.2.3")
    house.rules.change("allow", of("mixed", "10.0.0.0/8"), 0)
    assert house.comes_in("mixed", "10.1.2.3"), "although the configuration names a longer one"
    house.rules.change("deny", of("mixed", "10.1.2.0/24"), 0)
    assert not house.comes_in("mixed", "10.1.2.3"), "the longest of run time decides"
    assert house.comes_in("mixed", "10.1.3.3")
    house.rules.change("allow", of("mixed", "10.1.2.9/24"), 0)
    assert house.comes_in("mixed", "10.1.2.3"), "the last word on a network holds"
    house.rules.forget(of("mixed", "10.0.0.0/8"))
    house.rules.forget(of("mixed", "10.1.2.0/24"))
    assert not house.comes_in("mixed", "10.1.2.3")
    assert house.comes_in("open", "10.1.2.3")


def test_rules_alone_turn_away_only_whom_they_name(house: House) -> None:
    house.rules.change("allow", of("open", "192.0.2.1"), 0)
    assert house.comes_in("open", "198.51.100.1")
    house.rules.change("deny", of("open", "2001:db8::/32"), 0)
    assert house.comes_in("open", "198.51.100.1")
    assert not house.comes_in("open", "2001:db8::1")
    assert not house.comes_in("closed", "198.51.100.1"), "as its configuration says"
    house.rules.change("allow", of("closed", "198.51.100.1"), 0)
    assert house.comes_in("closed", "198.51.100.1")
    assert not house.comes_in("closed", "198.51.100.2")


def test_a_rule_with_a_time_ends_by_itself(house: House) -> None:
    house.rules.change("deny", of("open", "192.0.2.1", for_ms=500), 1_000)
    house.rules.tick(1_499)
    assert not house.comes_in("open", "192.0.2.1")
    house.rules.tick(1_500)
    assert house.comes_in("open", "192.0.2.1")
    assert [row["rule"] for row in house.told] == ["deny", "expired"]
    assert house.told[0] == {
        "kind": "access_changed", "listener": "open", "network": "192.0.2.1", "rule": "deny",
        "for_ms": 500,
    }  # fmt: skip


def test_what_holds_is_shown_in_its_order(house: House) -> None:
    house.rules.change("allow", of("mixed", "10.1.2.0/24", for_ms=60_000), 1_000)
    assert house.shown(listener="mixed") == [
        ("mixed", "10.1.2.0/24", "allow", "admin", 60),
        ("mixed", "10.1.0.0/16", "deny", "configuration", None),
        ("mixed", "others", "allow", "configuration", None),
    ]
    assert house.shown(listener="closed")[-1][1:3] == ("others", "deny")
    assert {row[0] for row in house.shown()} == {"open", "closed", "mixed"}
    with pytest.raises(AdminError, match="no listener is named x"):
        house.shown(listener="x")


def test_long_lists_are_not_shown_one_by_one(house: House) -> None:
    many = [f"10.0.{n >> 8}.{n & 255}" for n in range(module.SHOWN_MAX + 1)]
    house.configure(config(open={"deny": many}))
    assert house.shown() == [
        ("open", None, "deny", "configuration", None),
        ("open", "others", "allow", "configuration", None),
    ]


def test_rules_outlive_a_reload_and_go_with_their_listener(house: House) -> None:
    house.rules.change("deny", of("open", "192.0.2.1"), 0)
    house.rules.change("deny", of("mixed", "192.0.2.1"), 0)
    house.configure(config(open={"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, new={}))
    assert not house.comes_in("open", "192.0.2.1")
    assert not house.comes_in("open", "10.1.0.1")
    assert [rule.listener for rule in house.rules.rows] == ["open"]
    house.edge.sets.look_at_files()
    assert not house.comes_in("open", "192.0.2.1")
    assert house.comes_in("new", "192.0.2.1")


def test_rules_come_back_in_another_table(house: House) -> None:
    house.rules.change("deny", of("open", "192.0.2.0/24", for_ms=9_000), 0)
    house.rules.change("allow", of("closed", "192.0.2.1"), 0)
    house.rules.change("deny", of("mixed", "192.0.2.1"), 0)
    other = House(config(closed={"allow": ["10.0.0.0/8"]}, open={}))
    other.rules.restore(house.rules.rows)
    assert not other.comes_in("open", "192.0.2.9")
    assert other.comes_in("closed", "192.0.2.1")
    assert len(other.rules.rows) == 2
    other.rules.tick(9_000)
    assert other.comes_in("open", "192.0.2.9")


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (of("nobody", "10.0.0.0/8"), "no listener is named nobody"),
        (of("open", "10.0.0.0/40"), "is not an address or network"),
        (of("open", "10.0.0.0/8", for_ms=0), "longer than 0s"),
        ({}, "no listener is named None"),
    ],
)
def test_what_cannot_be_a_rule_is_told(house: House, args: dict[str, Any], what: str) -> None:
    with pytest.raises(AdminError, match=what):
        house.rules.change("deny", args, 0)
    assert not house.rules.rows


def test_a_rule_that_nobody_gave_cannot_be_forgotten(house: House) -> None:
    with pytest.raises(AdminError, match="see `l4lb admin access`"):
        house.rules.forget(of("mixed", "10.1.0.0/16"))


def test_there_are_only_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RULES_MAX", 3)
    for n in range(3):
        house.rules.change("deny", of("open", f"192.0.2.{n}"), 0)
    with pytest.raises(AdminError, match="there are 3 rules"):
        house.rules.change("deny", of("mixed", "192.0.2.1"), 0)
    house.rules.change("allow", of("open", "192.0.2.1"), 0)
    assert house.comes_in("open", "192.0.2.1")


def test_a_rule_that_has_no_room_changes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.rules.change("deny", of("open", "192.0.2.1"), 0)

    def full(*_: Any) -> None:
        raise OverflowError("the sets of networks have no room")

    monkeypatch.setattr(sets, "rebuild", full)
    with pytest.raises(AdminError, match="no room"):
        house.rules.change("allow", of("open", "192.0.2.1"), 0)
    assert not house.comes_in("open", "192.0.2.1")
    assert [rule.word for rule in house.rules.rows] == ["deny"]
