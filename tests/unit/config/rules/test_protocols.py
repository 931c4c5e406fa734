"""Keys without a meaning for a protocol: each key has a row, and is refused where it has no
meaning."""

from __future__ import annotations

import random
from typing import Any

import configurations
import pytest

from l4lb.config.rules import checks
from l4lb.config.rules.protocols import ALL, LISTENERS, POOLS, WITH_POOLS
from l4lb.config.schema import keys, names_below

HALF = sorted(
    (table, key)
    for table, rows in (("listeners", LISTENERS), ("pools", POOLS))
    for key, row in rows.items()
    if row.of != ALL
)


def wrong(data: dict[str, Any], *start: str) -> list[str]:
    """Returns the keys below a path that are refused for their protocol."""
    return [
        ".".join("*" if isinstance(part, int) else part for part in finding.path[len(start) :])
        for finding in checks.errors(data)
        if finding.path[: len(start)] == start and "listeners only" in finding.message
    ]


def with_key(key: str, value: Any) -> dict[str, Any]:
    """Returns a table that has the key, perhaps in a table inside it."""
    first, *rest = key.split(".")
    for part in reversed(rest):
        value = [value] if part == "*" else {part: value}
    return {first: value}


def example(table: str, key: str) -> Any:
    """Returns a value of that key that switches something on."""
    path = f"{table}.NAME.{key.replace('.*', '[]')}"
    for seed in range(100):
        value = configurations.example(path, random.Random(seed))
        if value not in ("off", False, 0, []):
            return value
    raise AssertionError(f"no example of {path}")


def data_of(table: str, key: str, *protocols: str) -> dict[str, Any]:
    """Returns listeners of these protocols with the pool `a`, and a pool without a listener."""
    more = with_key(key, example(table, key))
    listener = {"bind": ["127.0.0.1:1"], "pool": "a"} | (more if table == "listeners" else {})
    return {
        "listeners": {name: {"protocol": name, **listener} for name in protocols},
        "pools": {"a": {"backends": ["127.0.0.1:2"]} | (more if table == "pools" else {})},
    }


@pytest.mark.parametrize(("table", "rows"), [("listeners", LISTENERS), ("pools", POOLS)])
def test_every_key_has_its_place_and_every_place_its_key(table: str, rows: dict[str, Any]) -> None:
    assert set(names_below((table, "x"))) == {key for key in rows if "." not in key}
    paths = [key.path.removeprefix(f"{table}.NAME.").split(".") for key in keys()]
    known = {".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    inner = {key.replace(".*", "[]") for key in rows if "." in key}
    assert inner <= known


@pytest.mark.parametrize(("table", "key"), HALF)
def test_a_key_is_refused_where_it_means_nothing(table: str, key: str) -> None:
    of = {"listeners": LISTENERS, "pools": POOLS}[table][key].of
    for protocol in ALL if table == "listeners" else WITH_POOLS:
        name = protocol if table == "listeners" else "a"
        found = wrong(data_of(table, key, protocol), table, name)
        assert found == ([] if protocol in of else [key]), protocol
    if table == "pools":
        everybody, nobody = data_of(table, key, *ALL), data_of(table, key)
        assert (wrong(everybody, "pools"), wrong(nobody, "pools")) == ([], [])


@pytest.mark.parametrize(("table", "key"), HALF)
def test_what_is_switched_off_promises_nothing(table: str, key: str) -> None:
    for off in ("off", False, 0, []):
        data = data_of(table, key, *ALL)
        for one in data[table].values():
            one.update(with_key(key, off))
        assert wrong(data) == []


def test_a_pool_that_only_a_route_of_a_udp_listener_uses_is_for_datagrams() -> None:
    data = data_of("pools", "queue", "tcp")
    data["listeners"] = {
        "dns": {
            "protocol": "udp",
            "pool": "other",
            "routes": [{"source": "10.0.0.0/8", "pool": "a"}],
        }
    }
    assert wrong(data, "pools", "a") == ["queue"]
