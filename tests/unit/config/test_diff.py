"""The difference of two configurations: applied to the first, it gives the second."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from l4lb.config.diff import compare, needs_start

VALUES = st.integers(0, 2)
NAMES = st.sampled_from("abc")
BACKENDS = st.dictionaries(NAMES, VALUES, max_size=3).map(
    lambda found: [
        {"name": name, "address": f"{name}:1", "weight": weight} for name, weight in found.items()
    ]
)
POOLS = st.dictionaries(
    NAMES, st.fixed_dictionaries({"balance": VALUES, "backends": BACKENDS}), max_size=3
)
CONFIGS = st.fixed_dictionaries(
    {
        "process": st.dictionaries(st.sampled_from(["workers", "user"]), VALUES),
        "limits": st.dictionaries(st.sampled_from(["max_connections"]), VALUES),
        "listeners": st.dictionaries(NAMES, st.fixed_dictionaries({"pool": NAMES}), max_size=3),
        "pools": POOLS,
    }
)


def applied(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Applies the difference to the first configuration; added things come from the second."""
    result = copy.deepcopy(before)
    pools = {
        name: {one["name"]: one for one in pool["backends"]}
        for name, pool in result["pools"].items()
    }
    new = {
        name: {one["name"]: one for one in pool["backends"]}
        for name, pool in after["pools"].items()
    }
    for change in compare(before, after):
        pool, _, name = change.name.partition("/")
        places: dict[str, tuple[Any, Any, str]] = {
            "process": (result, after, "process"),
            "limits": (result, after, "limits"),
            "listener": (result["listeners"], after["listeners"], change.name),
            "pool": (result["pools"], after["pools"], change.name),
            "backend": (pools.setdefault(pool, {}), new.get(pool, {}), name),
        }
        here, there, key = places[change.kind]
        if change.action == "removed":
            del here[key]
        elif change.action == "added":
            here[key] = copy.deepcopy(there[key])
        else:
            for word, (old, value) in change.keys.items():
                assert here[key].get(word) == old
                here[key][word] = value
    for name, pool in result["pools"].items():
        pool["backends"] = list(pools.get(name, {}).values())
    return result


def plain(config: dict[str, Any]) -> dict[str, Any]:
    """Returns plain data without order, and without keys that have no effect."""
    found = copy.deepcopy(config)
    for pool in found["pools"].values():
        pool["backends"] = {one["name"]: one for one in pool["backends"]}
    for kind in ("process", "limits"):
        found[kind] = {key: value for key, value in found[kind].items() if value is not None}
    return found


@given(CONFIGS, CONFIGS)
def test_what_is_told_makes_the_second_of_the_first(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert plain(applied(before, after)) == plain(after)


@given(CONFIGS)
def test_the_same_has_no_difference(config: dict[str, Any]) -> None:
    assert compare(config, copy.deepcopy(config)) == []


def test_what_takes_effect_at_the_next_start_is_named() -> None:
    changes = compare({"process": {"user": "a", "workers": 1}}, {"process": {"workers": 2}})
    assert needs_start(changes) == ["process.user"]
    assert str(changes[0]) == "process changed: user 'a' -> None, workers 1 -> 2"


def test_a_cache_gets_its_disk_at_the_next_start() -> None:
    disks = ({"disk": {"path": "/a", "size": size}} for size in ("1GiB", "2GiB"))
    none, one, other = ({"cache": {"a.b": cache}} for cache in ({}, *disks))
    for before, after in ((none, one), (one, other), (other, none), ({}, one)):
        assert needs_start(compare(before, after)) == ['cache."a.b".disk']
    assert needs_start(compare({}, none)) == []
    assert needs_start(compare(one, {})) == []
    (change,) = compare(one, other)
    assert str(change) == "cache a.b changed: disk.size '1GiB' -> '2GiB'"
