"""A line of the access log: its fields, its escapes, and that it is always exactly one line."""

from __future__ import annotations

import errno
import json
import re
import time

import pytest
from doors import ended
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.native import session_stats
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, put_backend, table_of

FIELDS = [
    "ts", "client", "listener", "pool", "backend", "retries", "queue_ms", "connect_ms",
    "duration_ms", "bytes_in", "bytes_out", "end",
]  # fmt: skip


def table_with(name: str = "a", listener: str = "front") -> Table:
    table = table_of({"web": {name: closed_port()}})
    table.set_listener(0, name=listener, bind="0.0.0.0:80", protocol="tcp", pool=0)
    table.start_worker(0, pid=7, cpu=None, now_ms=0)
    session_stats.set_log_rule(table, on=True)
    return table


def lines(table: Table, style: str = "text") -> list[str]:
    return [line.decode() for line in session_stats.LogReader(table, style=style).read(100)]


def words(line: str) -> dict[str, str]:
    found = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line, re.ASCII)
    return {key: json.loads(word) if word[0] == '"' else word for key, word in found}


def test_a_text_line_has_the_fields_in_their_order() -> None:
    table = table_with()
    ended.account(
        table, 0, "client_fin", backend=0, duration_us=12_345, connect_us=678, bytes_in=10,
        bytes_out=2_000, retries=1, queue_us=5,
    )  # fmt: skip
    (line,) = lines(table)
    assert line.endswith("\n")
    found = words(line)
    assert list(found) == FIELDS
    assert found["client"] == "127.0.0.1:4711"
    assert (found["listener"], found["pool"], found["backend"]) == ("front", "web", "a")
    assert (found["queue_ms"], found["connect_ms"]) == ("0.005", "0.678")
    assert (found["duration_ms"], found["retries"]) == ("12.345", "1")
    assert (found["bytes_in"], found["bytes_out"]) == ("10", "2000")
    assert found["end"] == "client_fin"


def test_a_json_line_has_the_same_fields_and_more() -> None:
    table = table_with()
    ended.account(table, 0, "backend_reset", backend=0, client="2001:db8::1", first_byte_us=40)
    (line,) = lines(table, "json")
    found = json.loads(line)
    assert list(found)[: len(FIELDS)] == FIELDS
    assert found["client"] == "[2001:db8::1]:4711"
    assert found["first_byte_ms"] == 0.04
    assert found["session"] == "0.0.1"


def test_the_time_is_the_end_of_the_session_in_utc() -> None:
    table = table_with()
    ended.account(table, 0, "client_fin", ended_us=time.monotonic_ns() // 1000 - 5_000_000)
    now = time.time()
    (line,) = lines(table, "json")
    at = time.strptime(json.loads(line)["ts"][:19], "%Y-%m-%dT%H:%M:%S")
    assert abs(time.mktime(at) - time.timezone - (now - 5)) < 2


@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [
        ("no_backend", 0, "no_backend"),
        ("error", errno.ENOMEM, "error:ENOMEM"),
        ("error", 0, "error"),
        ("error", 9_999, "error:9999"),
        ("error:WORKER_DIED", 0, "error:WORKER_DIED"),
    ],
)
def test_the_end_is_one_word(reason: str, error: int, said: str) -> None:
    table = table_with()
    ended.account(table, 0, reason, error=error, reached=False)
    (line,) = lines(table)
    assert words(line)["end"] == said
    assert words(line)["connect_ms"] == "-"
    assert words(line)["backend"] == "-"


@pytest.mark.parametrize(
    ("client", "mask", "shown"),
    [
        ("203.0.113.77", (24, 48), "203.0.113.0:4711"),
        ("203.0.113.77", (20, 48), "203.0.112.0:4711"),
        ("203.0.113.77", (0, 0), "0.0.0.0:4711"),
        ("203.0.113.77", (32, 0), "203.0.113.77:4711"),
        ("2001:db8:ffff:2::1", (24, 36), "[2001:db8:f000::]:4711"),
        ("2001:db8:1:2::1", (0, 128), "[2001:db8:1:2::1]:4711"),
    ],
)
def test_an_address_has_only_the_bits_that_a_line_may_have(
    client: str, mask: tuple[int, int], shown: str
) -> None:
    table = table_with()
    ended.account(table, 0, "client_fin", client=client)
    reader = session_stats.LogReader(table, style="text")
    reader.set_privacy(query=True, mask=mask)
    (line,) = reader.read(10)
    assert words(line.decode())["client"] == shown


def test_a_failed_connect_says_why() -> None:
    table = table_with()
    ended.account(table, 0, "connect_failed", error=errno.ECONNREFUSED, reached=False)
    assert words(lines(table)[0])["error"] == "ECONNREFUSED"
    (found,) = map(json.loads, lines(table, "json"))
    assert (found["error"], found["backend"], found["connect_ms"]) == ("ECONNREFUSED", None, None)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=16))
def test_any_name_comes_back_whole_from_one_line(name: str) -> None:
    table = table_with(name=name, listener=name)
    ended.account(table, 0, "client_fin", backend=0)
    (text,), (as_json,) = lines(table), lines(table, "json")
    for line in (text, as_json):
        assert not re.search(r"[\x00-\x1f\x7f]", line[:-1])
    assert json.loads(as_json)["backend"] == name
    assert words(text)["backend"] == name


def test_a_backend_that_is_gone_is_called_as_it_was_while_the_reader_knows() -> None:
    table = table_with()
    reader = session_stats.LogReader(table, style="text")
    ended.account(table, 0, "client_fin", backend=0)
    reader.read(10)
    reader.commit(1)
    ended.account(table, 0, "client_fin", backend=0)
    put_backend(table, 0, name="other", address=closed_port(2))
    (line,) = reader.read(10)
    assert words(line.decode())["backend"] == "a"
    assert words(lines(table)[0])["backend"] == "-"


def test_what_was_read_stays_until_it_is_committed() -> None:
    table = table_with()
    for _ in range(3):
        ended.account(table, 0, "client_fin")
    reader = session_stats.LogReader(table, style="text")
    assert len(reader.read(2)) == 2
    assert len(lines(table)) == 3, "another reader, after a death, sees all"
    reader.commit(2)
    assert len(lines(table)) == 1
    assert len(reader.read(10)) == 1
    assert session_stats.log_counts(table) == (2, 0, 0, 0)
