"""Results as text: exact in a pipe, readable at a terminal, and never more than text."""

from __future__ import annotations

from typing import Any

import pytest
from doors import ended
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli import render
from l4lb.cli.columns import COLUMNS, shaped
from l4lb.cli.layout import View, wide
from l4lb.control import sources
from l4lb.control.commands import COMMANDS
from l4lb.control.views import caches, clients, overview
from l4lb.control.views.overview import Service
from l4lb.discovery.runner import State
from l4lb.native import sets
from l4lb.native.rows import Address, ListenerRow, RequestRow, SessionRow, StickyRow, UdpTally
from l4lb.policy.files import Watched
from l4lb.policy.hashes import NOBODYS
from l4lb.policy.log_ins import LogIns
from l4lb.policy.operators import shown
from l4lb.policy.users import Users
from tests.unit.supervisor.tables import cache_in, closed_port, table_of

PIPE, TERMINAL = View(), View(80)

SESSION = SessionRow(
    "0.1.2", 0, "relay", "front", "web", "a", "192.0.2.1:7", 10, 20, 3_000, 40, 900, 0
)
BACKEND = {
    "pool": "web",
    "name": "a",
    "address": "[::1]:80",
    "weight": 1,
    "state": "ready",
    "health": "up",
    "active": 3,
    "total": 7,
    "connect_errors": 0,
    "bytes_in": 1,
    "bytes_out": 2,
    "response_time_ms": 0.5,
    "last_check": {"result": "ok", "age_ms": 1_260, "duration_ms": 0.2, "streak": 4},
}


def test_a_pipe_gets_the_keys_of_json_and_exact_numbers_in_every_column() -> None:
    rows = [SESSION._asdict(), SESSION._replace(backend="", sni="a.test")._asdict()]
    assert [line.split() for line in render.text("sessions", rows, PIPE).splitlines()] == [
        ["id", "protocol", "client", "listener", "backend", "state", "age_ms", "idle_ms",
         "bytes_in", "bytes_out", "sni", "tls", "port"],
        ["0.1.2", "tcp", "192.0.2.1:7", "front", "web/a", "relay", "3000", "40", "10", "20", "-",
         "-", "0"],
        ["0.1.2", "tcp", "192.0.2.1:7", "front", "-", "relay", "3000", "40", "10", "20", "a.test",
         "-", "0"],
    ]  # fmt: skip


def test_a_terminal_gets_units_and_only_columns_that_say_something() -> None:
    row = SESSION._replace(bytes_out=18_140_365, age_ms=31_000)._asdict()
    assert render.text("sessions", [row], View(120)).splitlines() == [
        "ID     PROTOCOL  CLIENT       LISTENER  BACKEND  STATE   AGE   IDLE    IN       OUT",
        "0.1.2  tcp       192.0.2.1:7  front     web/a    relay  31 s  40 ms  10 B  17.3 MiB",
    ]


def test_rows_of_one_table_may_have_different_keys() -> None:
    table = table_of({"web": {"a": closed_port()}})
    plain, udp, tls = (
        {**overview._listener(row), "slowed": 0, "dry_run": {}} | more
        for row, more in zip(
            [table_listener(name) for name in ("tcp", "udp", "tls")],
            ({}, overview._datagrams(TALLY), {"tls": HANDSHAKES}),
            strict=True,
        )
    )
    assert table.pools()
    lines = render.text("status", {"listeners": [plain, udp, tls]}, PIPE).splitlines()
    assert len(lines) == 5
    assert "3 in, 2 out, 1 dropped no_room, 4 evicted" in lines[3]
    assert "7 full, 1 resumed, 2 failed, 5 in progress (last: no_shared_cipher)" in lines[4]
    shown = render.text("listeners", [plain, udp, tls], TERMINAL).splitlines()
    assert max(map(len, shown)) <= 80
    assert "    datagrams: 3 in, 2 out, 1 dropped no_room, 4 evicted" in shown


TALLY = UdpTally(0, "front", "0.0.0.0:80", 3, 2, 4, 0, 0, 0, 0, 0, {"no_room": 1, "none": 0})
HANDSHAKES = {
    "full": 7, "resumed": 1, "failed": 2, "in_progress": 5, "last_failure": "no_shared_cipher",
}  # fmt: skip


def table_listener(name: str) -> ListenerRow:
    return ListenerRow(0, name, "0.0.0.0:80", "tcp", "web", 1, 2, 3)


def test_a_backend_is_named_as_commands_take_it_and_its_check_is_said_in_words() -> None:
    shown = render.text("backends", [BACKEND], PIPE).splitlines()[1]
    assert shown.startswith("web/a  ")
    assert shown.endswith("  ok 1.3 s ago")


@pytest.mark.parametrize("view", [PIPE, TERMINAL])
@pytest.mark.parametrize("command", render.EMPTY)
def test_an_empty_list_says_so(command: str, view: View) -> None:
    assert render.text(command, [], view) == render.EMPTY[command]
    assert render.EMPTY[command].startswith(("no ", "nothing "))


def test_what_is_unknown_is_a_dash() -> None:
    shown = render.text("backends", [BACKEND | {"last_check": None}], PIPE)
    assert shown.splitlines()[1].endswith(" -")


@pytest.mark.parametrize("name", ["[red]a", "a\\[b]", "[/]", "[link=x]", "[::1]:80"])
def test_a_name_that_looks_like_markup_is_shown_as_it_is(name: str) -> None:
    assert name in render.text("backends", [BACKEND | {"address": name}], View(200))


def test_status_is_facts_and_then_its_tables() -> None:
    rows = [{"index": 0, "pid": 77}, {"index": 1, "pid": 123456, "state": "off"}]
    result = {"version": "9.9", "uptime_s": 31, "checker": {"pid": 5, "stale": False}, "of": rows}
    assert render.text("status", result | {"none": []}, PIPE).splitlines() == [
        "version: 9.9",
        "uptime_s: 31",
        "checker: pid 5, stale no",
        "none: -",
        "of:",
        "  index  pid     state",
        "  0      77      -",
        "  1      123456  off",
    ]
    assert render.text("status", result, TERMINAL).splitlines() == [
        "version  9.9",
        "uptime   31 s",
        "checker  pid 5, stale no",
        "",
        "of:",
        "  INDEX  PID     STATE",
        "  0      77      -",
        "  1      123456  off",
    ]


def test_what_a_reload_did_tells_warnings_restarts_and_when_it_goes_back() -> None:
    changed = {
        "kind": "pool", "name": "web", "action": "changed",
        "keys": {"seed": ["(not shown)", None], "x": [None, "1s"],
                 "health": [{"rise": 2, "path": "/"}, {"rise": 3, "path": "/"}]},
    }  # fmt: skip
    result = {
        "file": "/etc/l4lb.toml", "changes": [changed], "needs_restart": ["process.http"],
        "warnings": ["pools.web: odd"], "replaced": ["web/a: is back"], "confirm_ms": 30_000,
    }  # fmt: skip
    for view in (PIPE, TERMINAL):
        assert render.text("reload", result, view).splitlines() == [
            "/etc/l4lb.toml is in force: 1 change",
            '  changed pool web: seed (not shown), x (absent) -> "1s", health.rise 2 -> 3',
            "warning: pools.web: odd",
            "needs a restart: process.http takes effect at the next upgrade or restart",
            "run-time change: web/a: is back",
            "not for good: it goes back in 30 s unless `l4lb admin confirm` comes",
        ]
    nothing = {key: [] for key in ("changes", "needs_restart", "warnings", "replaced")}
    said = render.text("reload", {"file": "/f", "confirm_ms": 0, **nothing}, TERMINAL)
    assert said == "/f is in force: nothing has changed"


@pytest.mark.parametrize(
    ("command", "result", "said"),
    [
        ("drain", {"pool": "web", "name": "a"}, "web/a drains: no new sessions"),
        ("block", {"source": "192.0.2.1", "for_ms": None}, "192.0.2.1 is blocked for good"),
        ("block", {"source": "192.0.2.1", "for_ms": 60_000}, "192.0.2.1 is blocked for 1 min"),
        ("kill", {"session": "0.1.2"}, "session 0.1.2 is ended"),
        ("kill", {"pool": "w", "name": "a", "sessions": 3}, "3 sessions of w/a are ended"),
        ("wait", {"condition": "generation", "operand": "2", "waited_ms": 1_200},
         "generation 2: so after 1.2 s"),
        ("rebalance", {"moved": 3}, "3 sessions have changed their worker"),
    ],
)  # fmt: skip
def test_a_change_is_said_in_one_sentence(command: str, result: Any, said: str) -> None:
    assert render.done(command, result) == said


def test_every_change_has_its_sentence() -> None:
    silent = {name for name, row in COMMANDS.items() if not (row.reads or row.tells)}
    assert silent - {"kill"} == set(render.DONE)


EVENT = {
    "at": "2001-09-09T01:46:40.123+00:00", "at_ms": 7, "kind": "backend_down", "backend": "web/a",
    "was": "up", "text": "Connection refused", "duration_ms": 250,
}  # fmt: skip


def test_an_event_is_a_line_that_begins_with_when_and_what() -> None:
    assert render.text("events", [EVENT, {"kind": "x"}], PIPE).splitlines() == [
        (
            "2001-09-09T01:46:40.123+00:00  backend_down  backend web/a, was up, text Connection"
            " refused, duration_ms 250"
        ),
        "-  x",
    ]
    assert render.text("events", [EVENT], TERMINAL).splitlines() == [
        "2001-09-09 01:46:40Z  backend_down  web/a  Connection refused, was up, duration",
        "                      250 ms",
    ]


CERTIFICATE = {
    "of": "listeners.web", "names": ["a.test", "b.test"], "names_count": 3, "days_left": 12,
    "key": "EC 256", "issuer": "CN=ca", "file": "/a.pem",
}  # fmt: skip


def test_names_of_a_certificate_are_words_and_what_is_left_out_is_said() -> None:
    assert shaped("certs", CERTIFICATE)["names"] == "a.test b.test and 1 more"


HOSTILE = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"], codec="utf-8"))


@given(HOSTILE, st.sampled_from([PIPE, TERMINAL, View(200, colour=False)]))
def test_no_text_of_a_row_moves_the_cursor_or_begins_a_line(text: str, view: View) -> None:
    row = BACKEND | {"name": text, "address": text, "health": text}
    shown = render.text("backends", [row, BACKEND], view)
    assert all(character == "\n" or character.isprintable() for character in shown)
    assert "\x1b[2J" not in shown
    if not view.width:
        assert len(shown.splitlines()) == 3


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PLAIN = sorted(
    name
    for name, row in COMMANDS.items()
    if row.reads and name not in {*COLUMNS, *render.TEXTS, "explain"}
)


@given(st.sampled_from(PLAIN), st.dictionaries(st.text(max_size=30), ANYTHING, max_size=5))
def test_any_map_has_a_text_that_fits(command: str, result: dict[str, Any]) -> None:
    assert isinstance(render.text(command, result, PIPE), str)
    for line in render.text(command, result, TERMINAL).split("\n"):
        assert wide(line) <= 80


def test_every_column_is_in_what_the_views_give() -> None:
    table = table_of({"web": {"a": closed_port(), "b": Address("", 0, "/run/b")}})
    table.set_listener(0, name="front", bind="0.0.0.0:80", protocol="tcp", pool=0)
    table.start_worker(0, pid=7, cpu=None, now_ms=0)
    ended.note(table, 0, "192.0.2.1", 1)
    sets.write_blocks(table, [sets.BlockRow("192.0.2.1", 1, None, "admin", False)], "drop")
    with cache_in(table) as fd:
        cached = caches.caches(table, fd)
    pick = dict.fromkeys(one.key for one in COLUMNS["picks"]) | {"pool": "web", "candidates": []}
    spare = dict.fromkeys(one.key for one in COLUMNS["spare"]) | {"pool": "web", "backend": "a"}
    given: dict[str, list[dict[str, Any]]] = {
        "listeners": overview.listeners(table),
        "pools": overview.pools(table),
        "backends": overview.backends(table, 1),
        "workers": overview.workers(table, 1),
        "sessions": [SESSION._asdict()],
        "requests": [dict.fromkeys(RequestRow._fields, "")],
        "cache": cached,
        "spare": [spare],
        "discovery": [sources.row("web", State("dns"), 1)],
        "picks": [pick],
        "certs": [CERTIFICATE],
        "sticky": [dict.fromkeys(StickyRow._fields, 1)],
        "talkers": clients.busiest(table, 1),
        "blocks": clients.blocked(table, 1),
        "lists": [{"list": "ads", "hits": 1, **shown(Watched("list ads", (), lambda: None))}],
        "users": [{"forward": "office", **next(LogIns().shown(Users({"ann": NOBODYS}), 1.0))}],
    }
    lists = {name for name in COLUMNS if " of " not in name} - {
        "access", "routes", "filters", "inspections", "records", "packets", "shield",
    }  # fmt: skip
    assert {name.removesuffix(" -v") for name in lists} == set(given)
    for command in lists:
        row = shaped(command, given[command.removesuffix(" -v")][0])
        for column in COLUMNS[command]:
            assert column.key in row or column.rare, f"{command} has no {column.key}"


def test_every_command_that_reads_has_a_text() -> None:
    table = table_of({"web": {"a": closed_port()}})
    status = overview.status(table, Service("9.9", 1, 0, 3_000), 1)
    plan = {"file": "/f", "changes": [], "pools": [],
            "sessions": {"live": 0, "on_removed_backends": 0}}  # fmt: skip
    results: dict[str, Any] = {"status": status, "stats": overview.stats(table), "plan": plan}
    for name in (name for name, row in COMMANDS.items() if row.reads):
        for view in (PIPE, TERMINAL):
            assert render.text(name, results.get(name, []), view)
