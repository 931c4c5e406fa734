"""Simulations of large pools against their tables, and reasons in words."""

from __future__ import annotations

import pytest

from l4lb.control.views import explain
from l4lb.errors import AdminError
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.unit.supervisor.tables import put_backend

BACKENDS = 100


@pytest.fixture(scope="module")
def table() -> Table:
    """One pool of a hundred backends, by Maglev."""
    made = Table((1, 1, 1, BACKENDS, 1))
    made.set_pool(
        0,
        name="web",
        balance="maglev",
        when_all_down="refuse",
        retries=2,
        connect_timeout_ms=1,
        idle_timeout_ms=1,
        half_closed_timeout_ms=1,
        maglev_size=65_537,
    )
    for row in range(BACKENDS):
        put_backend(made, row, name=f"b{row}", address=Address("10.0.0.1", row + 1))
    made.publish(0)
    return made


def simulate(table: Table, **args: str) -> dict[str, object]:
    return explain.simulate(
        table, {"pool": "web", "remove": None, "add": None, "weight": None} | args
    )


def test_removing_one_of_a_hundred_moves_its_keys_and_few_others(table: Table) -> None:
    found = simulate(table, remove="b37")
    assert found["moved"] == pytest.approx(0.01, abs=0.015)
    assert isinstance(found["moved_of_others"], float)
    assert found["moved_of_others"] <= 0.015


def test_no_change_moves_nothing_and_every_share_is_even(table: Table) -> None:
    found = simulate(table)
    assert (found["moved"], found["moved_of_others"]) == (0.0, 0.0)
    assert isinstance(found["backends"], list)
    assert all(row["share_before"] == pytest.approx(0.01, rel=0.02) for row in found["backends"])


def test_an_added_backend_takes_its_share_and_little_else_moves(table: Table) -> None:
    found = simulate(table, add="new=1")
    assert isinstance(found["backends"], list)
    assert found["backends"][-1]["share_after"] == pytest.approx(1 / 101, rel=0.03)
    assert isinstance(found["moved"], float)
    assert found["moved"] < 0.03


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("[2001:DB8::1]:80", ("2001:db8::1", 80)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("::ffff:10.0.0.1", ("10.0.0.1", 0)),
        ("unix:", ("", 0)),
    ],
)
def test_a_client_is_written_as_usual(text: str, address: tuple[str, int]) -> None:
    assert explain.client_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.1:", "10.0.0.1:70000", "1.2.3", "fe80::1%lo", "10.0.0.0/8"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(AdminError):
        explain.client_address(text)
