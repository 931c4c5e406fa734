"""The state that one program passes to the next: by name, into a table with other rows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from doors import ended

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.reading.resolve import resolve
from l4lb.errors import L4lbError
from l4lb.native import counts as native
from l4lb.native import health, listener_policy, session_stats, sticky, udp
from l4lb.native.table import Table
from l4lb.supervisor.table.membership import Membership, capacities, hash_key
from l4lb.supervisor.upgrade import carried_counts, carried_state

NOW_MS = 1_000_000
LONG = "a-server-name-that-is-longer-than-what-is-kept-of-it.example.com"
STICKS = {"key": "source_ip", "ttl": "30m"}


def config(pools: dict[str, list[str]], **more: Any) -> Config:
    """Returns a listener for each pool, in this order."""
    return resolve(
        build(
            {
                "listeners": {
                    name: {"bind": [f"127.0.0.1:{7000 + len(name)}"], "pool": name}
                    for name in pools
                },
                "pools": {
                    name: {
                        "sticky": {**STICKS, "key": "sni"} if name == "names" else STICKS,
                        "backends": [
                            {"name": one, "address": f"127.0.0.1:{8000 + i}"}
                            for i, one in enumerate(members)
                        ],
                    }
                    for name, members in pools.items()
                },
                **more,
            },
            Origin(),
        )
    )


def filled(found: Config, key: bytes = b"") -> tuple[Table, Membership]:
    """Returns a table of that configuration."""
    table = Table(capacities(found))
    membership = Membership(table)
    membership.start(found, key)
    return table, membership


@pytest.fixture
def before() -> tuple[Table, Membership]:
    return filled(config({"web": ["a", "b"], "names": ["x", "y"], "gone": ["z"]}))


@pytest.fixture
def after(before: tuple[Table, Membership]) -> tuple[Table, Membership]:
    """Returns the names in other rows; one pool is removed."""
    return filled(config({"names": ["new", "y", "x"], "web": ["b", "a"]}), before[0].hash_key)


def plain(told: Any) -> Any:
    """Returns the state as it is after writing and reading it."""
    return json.loads(json.dumps(told))


def test_what_clients_stick_to_is_found_again(
    before: tuple[Table, Membership], after: tuple[Table, Membership]
) -> None:
    table, membership = before
    for pool, client, backend, ago in (
        ("web", "10.0.0.1", "a", 5_000),
        ("web", "2001:db8::7", "b", 0),
        ("names", "www.example.com", "x", 0),
        ("names", LONG, "y", 0),
        ("gone", "10.0.0.1", "z", 0),
    ):
        row = membership.backends.live[pool, backend]
        assert sticky.put(table, membership.pools.live[pool], client, row, NOW_MS - ago)
    told = carried_state.sticky_entries(table, membership, NOW_MS)
    new, rows = after
    carried_state.restore_sticky(new, rows, plain(told), NOW_MS)
    os.close(told["fd"])
    found = {
        (one.pool, one.client): (one.backend, one.idle_ms) for one in sticky.entries(new, NOW_MS)
    }
    assert found == {
        ("web", "10.0.0.1"): ("a", 5_000),
        ("web", "2001:db8::7"): ("b", 0),
        ("names", "www.example.com"): ("x", 0),
        ("names", LONG[:40] + "..."): ("y", 0),
    }
    assert sticky.remove(new, rows.pools.live["web"], "10.0.0.1"), "a lookup finds it"
    assert sticky.remove(new, rows.pools.live["names"], LONG), "a lookup finds it"


def test_entries_of_another_form_are_left_out(before: tuple[Table, Membership]) -> None:
    table, membership = before
    told = {**carried_state.sticky_entries(table, membership, NOW_MS), "entry_bytes": 1}
    carried_state.restore_sticky(table, membership, told, NOW_MS)
    os.close(told["fd"])
    assert sticky.entries(table, NOW_MS) == []


def test_health_goes_to_the_backend_of_that_name(
    before: tuple[Table, Membership], after: tuple[Table, Membership]
) -> None:
    table, membership = before
    row = membership.backends.live["web", "b"]
    known = {
        **health.exported(table, row),
        "health": 2, "verdict": 2, "text": "Connection refused", "failed": 7, "at_ms": NOW_MS,
        "ejected_until_ms": NOW_MS + 500, "ejections": 3, "level": 2, "weight_change": -40,
    }  # fmt: skip
    health.restore(table, row, known)
    new, rows = after
    carried_state.restore(new, rows, plain(carried_state.taken(table, membership, {})))
    found = {name: health.exported(new, at) for name, at in rows.backends.live.items()}
    assert found["web", "b"] == known
    assert found["web", "a"]["health"] == found["names", "new"]["health"] == 0


def test_a_state_without_any_of_it_is_taken(after: tuple[Table, Membership]) -> None:
    carried_state.restore(*after, {})
    assert carried_state.key_of({}) == b""


def test_a_seed_in_the_configuration_goes_before_the_key_that_is_told() -> None:
    seeded = config({"web": ["a"]}, process={"hash_seed": "seed"})
    assert filled(seeded, b"k" * 16)[0].hash_key == hash_key("seed")
    assert filled(config({"web": ["a"]}), b"k" * 16)[0].hash_key == b"k" * 16


def test_counts_and_measures_are_the_same_in_the_other_table(
    before: tuple[Table, Membership], after: tuple[Table, Membership]
) -> None:
    table, membership = before
    listener, pool = (
        membership.listeners.live["web", "127.0.0.1:7003"],
        membership.pools.live["web"],
    )
    session_stats.set_measures(table, True)
    for reason in ("client_fin", "backend_reset"):
        ended.account(
            table, 0, reason, listener=listener, pool=pool, duration_us=1_500, bytes_in=77
        )
    native.book_listener(
        table,
        listener,
        {
            "accepted": 2, "refused": 1, "ended": {},
            "dry_run": {"rejected:denied": 4, "slowed": 2}, "slowed": 9,
            "handshakes": {"full": 3, "resumed": 2, "failed": 1},
        },
    )  # fmt: skip
    new, rows = after
    told = plain(carried_counts.taken(table, membership))
    carried_counts.book(new, rows, told)
    again = carried_counts.taken(new, rows)
    assert (
        dict_of(again["listeners"])["web", "127.0.0.1:7003"]
        == (dict_of(told["listeners"])["web", "127.0.0.1:7003"])
    )
    assert dict_of(again["pools"])["web",] == dict_of(told["pools"])["web",]
    assert session_stats.ledger(new, rows.pools.live["web"]) == session_stats.ledger(table, pool)
    assert listener_policy.slowed(new, rows.listeners.live["web", "127.0.0.1:7003"]) == 9
    carried_counts.book(new, rows, carried_counts.difference(told, told))
    assert carried_counts.taken(new, rows) == again, "no difference adds nothing"


def dict_of(rows: Any) -> dict[tuple[str, ...], Any]:
    """Returns rows of names and a value as a map by name."""
    return {tuple(row[:-1]): row[-1] for row in rows}


def test_udp_counts_go_over_too() -> None:
    told = {"listeners": {"dns": {"bind": ["127.0.0.1:5300"], "protocol": "udp", "pool": "web"}}}
    made = config({"web": ["a"]}, **told)
    table, membership = filled(made)
    row = membership.listeners.live["dns", "127.0.0.1:5300"]
    numbers = {
        "accepted": 5, "refused": 0, "ended": {},
        "udp": {
            "datagrams_in": 9, "datagrams_out": 8, "evicted": 1, "moved": 2, "adopted": 3,
            "dropped": {udp.drops[0]: 4, "of_a_later_version": 1},
        },
    }  # fmt: skip
    native.book_listener(table, row, numbers)
    new, rows = filled(made)
    carried_counts.book(new, rows, plain(carried_counts.taken(table, membership)))
    (found,) = udp.tallies(new)
    assert (found.datagrams_in, found.evicted, found.moved, found.adopted) == (9, 1, 2, 3)
    assert found.dropped[udp.drops[0]] == 4


# ---- access lists ------------------------------------------------------------------------------


def with_list(path: Path) -> Config:
    """Returns a listener that turns away clients in this file's networks."""
    access = {"deny_file": str(path)}
    listeners = {"web": {"bind": ["127.0.0.1:7003"], "pool": "web", "access": access}}
    pools = {"web": {"backends": ["127.0.0.1:8000"]}}
    return resolve(build({"listeners": listeners, "pools": pools}, Origin()))


def told_lists(found: Config) -> dict[str, Any]:
    _, membership = filled(found)
    told: dict[str, Any] = carried_state.lists(membership)
    return {**json.loads(json.dumps(told)), "fd": told["fd"]}


def taken_over(found: Config, told: dict[str, Any]) -> tuple[Table, Membership]:
    table = Table(capacities(found))
    membership = Membership(table)
    with membership.policy.sets.made(carried_state.batch_of(told)):
        membership.start(found)
    return table, membership


def test_access_lists_go_over_as_they_are_in_force_though_their_files_are_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deny"
    path.write_text("192.0.2.0/24\n2001:db8::/32\n")
    found = with_list(path)
    told = told_lists(found)
    path.unlink()
    table, membership = taken_over(found, told)
    (row,) = membership.listeners.live.values()
    addresses = ("192.0.2.7", "2001:db8::1", "192.0.3.1")
    assert [listener_policy.denies(table, row, one) for one in addresses] == [True, True, False]
    path.write_text("192.0.3.0/24\n")  # a file that is back is looked at
    membership.policy.sets.look_at_files()
    assert [listener_policy.denies(table, row, one) for one in addresses] == [False, False, True]
    os.close(told["fd"])


def test_lists_that_are_kept_in_another_form_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deny"
    path.write_text("192.0.2.0/24\n")
    found = with_list(path)
    told = {**told_lists(found), "form": -1}
    path.write_text("192.0.3.0/24\n")
    table, membership = taken_over(found, told)
    (row,) = membership.listeners.live.values()
    assert listener_policy.denies(table, row, "192.0.3.1")
    path.unlink()
    with pytest.raises(L4lbError, match="cannot read the list of networks"):
        taken_over(found, told)
    os.close(told["fd"])
