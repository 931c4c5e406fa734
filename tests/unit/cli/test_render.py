"""Results as text: aligned for a pipe, drawn for a terminal, and never more than text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli import render
from l4lb.control import edge_views, sources, views
from l4lb.control.commands import COMMANDS
from l4lb.control.views import Service
from l4lb.discovery.runner import State
from l4lb.native import sets, talkers
from l4lb.native.rows import Address, SessionRow, StickyRow
from tests.unit.supervisor.tables import closed_port, table_of

SESSION = SessionRow(
    "0.1.2", 0, "relays", "front", "web", "a", "192.0.2.1:7", 10, 20, 3_000, 40, 900, 0
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


def test_a_pipe_gets_a_heading_and_a_line_a_row_with_columns_aligned() -> None:
    row = {"name": "front", "bind": "[::]:80", "protocol": "tcp", "pool": "web", "active": 3}
    rows = [row | {"accepted": 7, "refused": 0}, row | {"accepted": 123456789, "bind": "*:1"}]
    assert render.text("listeners", rows, terminal=False).splitlines() == [
        "name   bind     protocol  pool  active  accepted   refused",
        "front  [::]:80  tcp       web   3       7          0",
        "front  *:1      tcp       web   3       123456789  -",
    ]


def test_a_backend_is_named_as_commands_take_it_and_its_check_is_said_in_words() -> None:
    shown = render.text("backends", [BACKEND], terminal=False).splitlines()[1]
    assert shown.startswith("web/a  ")
    assert shown.endswith("  ok 1.3s ago")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("command", render.COLUMNS)
def test_a_table_without_rows_has_its_heading(command: str, terminal: bool) -> None:
    shown = render.text(command, [], terminal=terminal)
    assert all(column in shown for column in render.COLUMNS[command])


def test_what_is_unknown_is_a_dash() -> None:
    shown = render.text("backends", [BACKEND | {"last_check": None}], terminal=False)
    assert shown.splitlines()[1].endswith(" -")
    rows = [SESSION._replace(backend="")._asdict()]
    assert "  -  " in render.text("sessions", rows, terminal=False)


@pytest.mark.parametrize("name", ["[red]a", "a\\[b]", "[/]", "[link=x]", "[::1]:80"])
def test_a_name_that_looks_like_markup_is_shown_as_it_is(name: str) -> None:
    assert name in render.text("backends", [BACKEND | {"address": name}], terminal=True)


def test_status_is_facts_and_then_its_tables() -> None:
    rows = [{"index": 0, "pid": 77}, {"index": 1, "pid": 123456}]
    result = {"version": "9.9", "checker": {"pid": 5, "stale": False}, "workers": rows, "none": []}
    assert render.text("status", result, terminal=False).splitlines() == [
        "version: 9.9",
        "checker: pid 5, stale no",
        "workers:",
        "  index  pid",
        "  0      77",
        "  1      123456",
        "none: []",
    ]


def test_an_event_is_a_line_that_begins_with_when_and_what() -> None:
    told = {"at": "2001-09-09T01:46:40Z", "at_ms": 7, "kind": "backend_up", "backend": "web/a"}
    shown = render.text("events", [told, {"kind": "x"}], terminal=True)
    assert shown.splitlines() == ["2001-09-09T01:46:40Z  backend_up  backend web/a", "-  x"]


CERTIFICATE = {
    "of": "listeners.web", "names": ["a.test", "b.test"], "names_count": 3, "days_left": 12,
    "key": "EC 256", "issuer": "CN=ca", "file": "/a.pem",
}  # fmt: skip


def test_names_of_a_certificate_are_words_and_what_is_left_out_is_said() -> None:
    assert render.table("certs", [CERTIFICATE])[1][1] == "a.test b.test and 1 more"


HOSTILE = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"], codec="utf-8"))


@given(HOSTILE, st.booleans())
def test_no_text_of_a_row_moves_the_cursor_or_begins_a_line(text: str, terminal: bool) -> None:
    row = BACKEND | {"name": text, "address": text, "health": text}
    shown = render.aligned(render.table("backends", [row, BACKEND]))
    assert len(shown.splitlines()) == 3
    assert all(character == "\n" or character.isprintable() for character in shown)
    assert "\x1b[2J" not in render.text("backends", [row], terminal=terminal)


def test_every_column_is_in_what_the_views_give() -> None:
    table = table_of({"web": {"a": closed_port(), "b": Address("", 0, "/run/b")}})
    table.set_listener(0, name="front", bind="0.0.0.0:80", protocol="tcp", pool=0)
    table.start_worker(0, pid=7, cpu=None, now_ms=0)
    talkers.note(table, 0, "192.0.2.1", 1)
    sets.write_blocks(table, [sets.BlockRow("192.0.2.1", 1, None, "admin", False)])
    given: dict[str, list[dict[str, Any]]] = {
        "listeners": views.listeners(table),
        "pools": views.pools(table),
        "backends": views.backends(table, 1),
        "workers": views.workers(table, 1),
        "sessions": [SESSION._asdict()],
        "discovery": [sources.row("web", State("dns"), 1)],
        "picks": [dict.fromkeys(render.COLUMNS["picks"]) | {"pool": "web", "candidates": []}],
        "certs": [CERTIFICATE],
        "sticky": [dict.fromkeys(StickyRow._fields, 1)],
        "talkers": edge_views.busiest(table, 1),
        "blocks": edge_views.blocked(table, 1),
        "access": [dict.fromkeys(render.COLUMNS["access"], "x")],
    }
    for command, columns in render.COLUMNS.items():
        rows = given[command.removesuffix(" -v")]
        shown = render.table(command, rows)
        for column, word in zip(columns, shown[1], strict=True):
            known = column in rows[0] or column in ("backend", "since", "why")
            assert known, f"{command} has no {column}: {word}"


def test_every_command_that_reads_has_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = table_of({"web": {"a": closed_port()}})
    status = views.status(table, Service("9.9", 1, 0, 3_000), 1)
    results = {"status": status, "stats": views.stats(table)}
    for name in (name for name, row in COMMANDS.items() if row.reads and name != "events"):
        for terminal in (False, True):
            assert render.text(name, results.get(name, []), terminal=terminal)
