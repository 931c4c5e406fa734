"""The effect of a plan on clients, computed from plain data with names and without."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.control.views import plan
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.unit.supervisor.tables import put_backend


def table_of_unnamed(balance: str) -> Table:
    """Returns a table of a pool with two backends that are named by their addresses."""
    table = Table((4, 4, 8, 64, 64))
    table.set_pool(
        0, name="web", balance=balance, when_all_down="refuse", retries=2, connect_timeout_ms=1,
        idle_timeout_ms=1, half_closed_timeout_ms=1, maglev_size=251,
    )  # fmt: skip
    for row, port in enumerate((1, 2)):
        address = Address("10.0.0.1", port)
        put_backend(table, row, name=str(address), address=address)
    table.publish(0)
    return table


def pool(*addresses: str, **more: Any) -> dict[str, Any]:
    """Returns a pool's plain data. Without addresses, discovery finds its backends."""
    backends = [{"address": one, "weight": 1} for one in addresses]
    return {"balance": "maglev", **({"backends": backends} if backends else {}), **more}


def told(table: Table, before: Any, after: Any) -> list[dict[str, Any]]:
    answer = {"changes": [], "before": {"pools": before}, "after": {"pools": after}}
    pools: list[dict[str, Any]] = plan.told(table, answer)["pools"]
    return pools


def test_backends_without_a_name_are_known_by_their_address() -> None:
    table = table_of_unnamed("maglev")
    both = pool("10.0.0.1:1", "10.0.0.1:2")
    assert told(table, {"web": both}, {"web": both}) == []
    (found,) = told(table, {"web": both}, {"web": pool("10.0.0.1:1")})
    assert found["hash_keys_moved"] == pytest.approx(0.5, abs=0.05)


def test_a_pool_whose_backends_discovery_finds_has_none_in_its_file() -> None:
    table = table_of_unnamed("maglev")
    both = pool("10.0.0.1:1", "10.0.0.1:2")
    assert told(table, {"web": pool()}, {"web": pool()}) == []
    (found,) = told(table, {"web": both}, {"web": pool()})
    assert (found["pool"], found["hash_keys_moved"]) == ("web", 1.0)
    assert [one["pool"] for one in told(table, {"web": both}, {})] == ["web"]


def test_a_backend_whose_name_a_command_line_could_not_say_can_be_planned() -> None:
    table = table_of_unnamed("maglev")
    before = pool("10.0.0.1:1", "10.0.0.1:2")
    (found,) = told(
        table, {"web": before}, {"web": pool("10.0.0.1:1", "10.0.0.1:2", "unix:/run/a=b,c")}
    )
    assert found["hash_keys_moved"] == pytest.approx(1 / 3, abs=0.05)
