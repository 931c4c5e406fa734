"""`l4lb admin` against a server in this process: its output and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli import admin as front
from l4lb.cli import asking
from l4lb.control.commands import COMMANDS
from l4lb.errors import UsageError

from .conftest import Admin, L4lb

READING = [
    name
    for name, row in COMMANDS.items()
    if row.reads
    and row.by.who != "supervisor"
    and name != "certs"
    and not any(one.required for one in row.args)
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_is_a_command_with_its_help(l4lb: L4lb, name: str) -> None:
    done = l4lb("admin", name, "--help")
    assert done.status == 0
    assert " ".join(COMMANDS[name].help.split()) in " ".join(done.out.split())
    for arg in COMMANDS[name].args:
        assert arg.name.removesuffix("_ms").replace("_", "-") in done.out.lower()


@pytest.mark.parametrize("name", READING)
def test_what_reads_prints_json_or_text(admin: Admin, l4lb: L4lb, name: str) -> None:
    asked = [name, "--recent"] if name == "explain" else [name]
    done = l4lb("admin", "--socket", admin.path, *asked, "--json")
    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert isinstance(json.loads(done.out), dict if name in ("status", "stats") else list)
    done = l4lb("admin", "--socket", admin.path, *asked)
    assert (done.status, done.err, "\x1b" in done.out) == (0, "", False)


def test_a_change_is_sent_and_says_nothing_unless_asked(admin: Admin, l4lb: L4lb) -> None:
    asked: list[Any] = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        asked.append((question["op"], question["args"]))
        return {"ok": True, "result": {"weight": 3}}

    admin.supervise(answer)
    assert l4lb("admin", "--socket", admin.path, "weight", "web/a", "3") == (0, "", "")
    admin.supervise(answer)
    done = l4lb("admin", "--socket", admin.path, "kill", "--backend", "web/a", "--json")
    assert done == (0, '{"weight": 3}\n', "")
    assert asked == [
        ("weight", {"backend": "web/a", "weight": 3}),
        ("kill_backend", {"backend": "web/a"}),
    ]


def test_a_refusal_exits_1_in_one_line(admin: Admin, l4lb: L4lb) -> None:
    error = {"code": "not_found", "message": "no backend is named web/aa"}
    admin.supervise(lambda _: {"ok": False, "error": error})
    done = l4lb("admin", "--socket", admin.path, "drain", "web/aa")
    said = "drain: no backend is named web/aa (did you mean web/a?); see `l4lb admin backends`\n"
    assert done == (1, "", said)


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["dance"],
        ["drain"],
        ["drain", "x" * 257],
        ["drain", "web/\udcff"],
        ["weight", "web/a", "many"],
        ["weight", "web/a", "257"],
        ["weight", "web/a", "9" * 99],
        ["sessions", "--limit", "0"],
        ["kill"],
        ["kill", "0.0.1", "--backend", "web/a"],
        ["wait", "weather", "fine"],
        ["wait", "generation", "soon"],
        ["wait", "generation", "1", "--timeout", "soon"],
        ["wait", "generation", "1", "--timeout", "2d"],
    ],
    ids=lambda args: ascii(" ".join(args))[:40],
)
def test_a_wrong_use_exits_2_with_where_to_look(admin: Admin, l4lb: L4lb, args: list[str]) -> None:
    done = l4lb("admin", "--socket", admin.path, *args)
    assert (done.status, done.out) == (2, "")
    assert "--help" in done.err
    if args:
        assert done.err.count("\n") == 1


def test_a_command_that_is_not_there_is_refused_with_the_nearest(l4lb: L4lb) -> None:
    done = l4lb("admin", "backend")
    assert (done.status, done.out) == (2, "")
    assert "no command 'backend' (did you mean backends?)" in done.err
    assert "No such command 'zzz'" in l4lb("admin", "zzz").err


def test_where_nobody_answers_it_exits_3_and_names_the_place(l4lb: L4lb, tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    done = l4lb("admin", "--socket", path, "status")
    assert (done.status, done.out, done.err.count("\n")) == (3, "", 1)
    assert path in done.err


def test_a_wait_that_is_in_vain_exits_1(admin: Admin, l4lb: L4lb) -> None:
    wait = ["admin", "--socket", admin.path, "wait", "generation"]
    assert l4lb(*wait, "1").status == 0
    done = l4lb(*wait, "9", "--timeout", "50ms")
    assert done == (1, "", "wait: generation 9: not so after 50 ms\n")


def test_a_balancer_that_hangs_is_not_waited_for_without_end(
    admin: Admin, l4lb: L4lb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_TIMEOUT_S", 0.1)
    go = threading.Event()
    monkeypatch.setattr("l4lb.control.views.overview.pools", lambda _: go.wait(20))
    done = l4lb("admin", "--socket", admin.path, "pools")
    go.set()
    assert done == (1, "", f"the balancer on {admin.path} did not answer in 0.1 s\n")


def test_it_needs_neither_the_configurations_library_nor_that_of_tables(admin: Admin) -> None:
    code = (
        "import sys; from l4lb.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "admin", "--socket", admin.path, "backends"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "l4lb.control.serving.client" in loaded
    assert not {"pydantic", "rich", "structlog", "asyncio", "l4lb.native.table"} & set(loaded)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("2s", 2_000),
        ("2", 2_000),
        ("0", 0),
        ("1.5s", 1_500),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
        ("2 s", 2_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit_or_seconds(text: str, ms: int) -> None:
    assert front.duration_ms(text) == ms


@given(st.text(max_size=20))
def test_any_other_text_is_no_duration(text: str) -> None:
    try:
        assert front.duration_ms(text) >= 0
    except UsageError:
        assert not text.isdigit() or not text.isascii() or len(text) > 12
