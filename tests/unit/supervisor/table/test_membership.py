"""Which rows a change of the configuration gives and takes, also when it fails half-way."""

from __future__ import annotations

import pytest

import l4lb.native.listener_policy as native
from l4lb.config.build import build
from l4lb.config.diff import compare
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.plain import to_plain
from l4lb.native.table import Table
from l4lb.supervisor.table.membership import Membership, capacities


def config(**listeners: str) -> Config:
    """Listeners by name, each with one address; all go to one pool."""
    return build(
        {
            "listeners": {
                name: {"bind": [bind], "pool": "web"} for name, bind in listeners.items()
            },
            "pools": {"web": {"backends": ["127.0.0.1:1"]}},
        },
        Origin(),
    )


def change(membership: Membership, before: Config, after: Config) -> None:
    membership.change(after, compare(to_plain(before), to_plain(after)), now_ms=1)


def test_a_change_that_fails_while_listeners_are_written_leaves_none_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = config(old="127.0.0.1:1"), config(old="127.0.0.1:1", new="127.0.0.1:2")
    table = Table(capacities(before))
    membership = Membership(table)
    membership.start(before)

    def fail(*_: object) -> None:
        raise ValueError("no room")

    with monkeypatch.context() as faulty:
        faulty.setattr(native, "publish_routes", fail)
        with pytest.raises(ValueError, match="no room"):
            change(membership, before, after)
    assert [row.name for row in table.listeners()] == ["old"]
    assert list(membership.listeners.live) == [("old", "127.0.0.1:1")]

    change(membership, before, after)
    assert sorted(row.name for row in table.listeners()) == ["new", "old"]


def test_a_listener_that_is_gone_is_not_shown_and_its_row_is_not_in_use() -> None:
    before, after = config(old="127.0.0.1:1", new="127.0.0.1:2"), config(new="127.0.0.1:2")
    table = Table(capacities(before))
    membership = Membership(table)
    membership.start(before)
    change(membership, before, after)
    assert [row.name for row in table.listeners()] == ["new"]
    assert list(membership.listeners.live) == [("new", "127.0.0.1:2")]
