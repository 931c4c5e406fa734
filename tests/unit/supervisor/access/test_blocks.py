"""Blocked sources: blocked by request and by rule, until their time is over."""

from __future__ import annotations

import pytest
from doors import ended

from l4lb.config.tables.process import AutoBlock
from l4lb.errors import AdminError
from l4lb.native import sets, talkers
from l4lb.native.table import Table
from l4lb.supervisor.access.blocks import Blocks
from l4lb.supervisor.access.network_lists import Content
from l4lb.supervisor.access.network_sets import NetworkSets


@pytest.fixture
def table() -> Table:
    made = Table((2, 2, 1, 1, 4))
    for worker in range(2):
        made.start_worker(worker, pid=1, cpu=None, now_ms=0)
    return made


@pytest.fixture
def blocks(table: Table) -> Blocks:
    return Blocks(table, NetworkSets(table))


def blocked(table: Table, address: str) -> int:
    return sets.find(table, sets.BLOCKS, address)


def test_a_block_ends_by_itself_or_by_request(table: Table, blocks: Blocks) -> None:
    blocks.block({"source": "10.1.2.3/8", "for_ms": 500}, 1_000)
    assert blocks.block({"source": "192.0.2.1", "for_ms": None}, 1_000)["source"] == "192.0.2.1"
    assert blocked(table, "10.200.0.1")
    assert [(one.source, one.until_ms) for one in sets.blocks(table)] == [
        ("10.0.0.0/8", 1_500),
        ("192.0.2.1", None),
    ]
    assert not blocks.tick(1_499)
    assert blocks.tick(1_500)
    assert not blocked(table, "10.200.0.1")
    assert blocked(table, "192.0.2.1")
    blocks.unblock({"source": "192.0.2.1/32"})
    assert not blocked(table, "192.0.2.1")
    with pytest.raises(AdminError, match="is not blocked"):
        blocks.unblock({"source": "192.0.2.1"})


@pytest.mark.parametrize("source", ["::ffff:192.0.2.1", "::ffff:192.0.2.0/120"])
def test_a_source_in_ipv6s_form_is_the_ipv4_one_that_it_is(
    table: Table, blocks: Blocks, source: str
) -> None:
    blocks.block({"source": source}, 1_000)
    assert blocked(table, "192.0.2.1")
    assert not blocked(table, "192.0.3.1")


@pytest.mark.parametrize("args", [{"source": "x"}, {"source": "::1", "for_ms": 0}, {}])
def test_what_cannot_be_blocked_is_told(blocks: Blocks, args: dict[str, object]) -> None:
    with pytest.raises(AdminError):
        blocks.block(args, 0)


def test_there_are_only_so_many_and_each_is_shown(
    table: Table, blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "BLOCKS_MAX", 50)
    for number in range(50):
        blocks.block({"source": f"10.0.0.{number}"}, 0)
    with pytest.raises(AdminError, match="more than 50"):
        blocks.block({"source": "::1"}, 0)
    assert len({one.source for one in sets.blocks(table)}) == 50


def test_lists_of_listeners_stay_when_blocks_change(table: Table) -> None:
    made = NetworkSets(table)
    blocks = Blocks(table, made)
    content = Content.of_networks(["fd00::/8"])
    number = made.replace([content])[content]
    blocks.block({"source": "10.0.0.1"}, 0)
    assert sets.find(table, number, "fd00::1")
    made.replace([Content.of_networks(["fe80::/10"]), content])
    assert blocked(table, "10.0.0.1")


def reject(table: Table, source: str, times: int, worker: int = 0) -> None:
    for _ in range(times):
        ended.note(table, worker, source, 1, rejected=True)


def test_who_is_turned_away_too_often_within_the_window_is_blocked(
    table: Table, blocks: Blocks
) -> None:
    rule = AutoBlock.model_validate({"rejections": 10, "window": "5s", "duration": "1m"})
    blocks.configure(rule)
    reject(table, "192.0.2.1", 5)
    assert not blocks.tick(1_000)
    reject(table, "192.0.2.1", 5, worker=1)
    reject(table, "192.0.2.2", 9)
    ended.note(table, 0, "192.0.2.3", 1)
    assert blocks.tick(2_000)
    assert [blocked(table, f"192.0.2.{n}") for n in (1, 2, 3)] == [1, 0, 0]
    assert sets.blocks(table)[0].by == "auto"
    assert blocks.tick(63_000)
    assert not blocked(table, "192.0.2.1")
    for second in range(64, 80):  # slow: never ten rejections in five seconds
        reject(table, "192.0.2.1", 1)
        assert not blocks.tick(second * 1_000)


def test_a_source_that_has_given_up_is_not_blocked_again(table: Table, blocks: Blocks) -> None:
    rule = {"rejections": 5, "window": "60s", "duration": "2s"}
    blocks.configure(AutoBlock.model_validate(rule))
    reject(table, "192.0.2.1", 7)
    assert blocks.tick(1_000)
    reject(table, "192.0.2.1", 4)
    assert blocks.tick(3_000)
    assert not blocked(table, "192.0.2.1")
    assert not blocks.tick(4_000)
    reject(table, "192.0.2.1", 1)
    assert blocks.tick(5_000)
    assert blocked(table, "192.0.2.1")


def test_a_rule_in_dry_run_marks_only(table: Table, blocks: Blocks) -> None:
    blocks.configure(AutoBlock.model_validate({"rejections": 1, "dry_run": True}))
    reject(table, "2001:db8::7", 1)
    assert blocks.tick(1_000)
    assert blocked(table, "2001:db8::99") == 2
    assert sets.blocks(table)[0].source == "2001:db8::/64"


def test_the_sketch_keeps_the_heavy_whatever_the_light_do(table: Table) -> None:
    for number in range(20_000):
        ended.note(table, number % 2, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1)
        if number % 20 == 0:
            ended.note(table, 0, "192.0.2.1", 1, moved=10)
            ended.note(table, 1, "192.0.2.2", 1, rejected=True)
    rows = {row.source: row for row in talkers.read(table)}
    assert len(rows) <= 128
    assert rows["192.0.2.1"].sessions > 900
    assert rows["192.0.2.1"].bytes == 10 * rows["192.0.2.1"].sessions
    assert talkers.read(table)[0].source == "192.0.2.2"
