"""The text of every admin command over a service with every kind of listener, pool and event: at a
terminal of 80 columns, and in a pipe. A command without a case here fails the test."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from l4lb.control.commands import COMMANDS

from ..harness import PORTS, Backends, Balancer, one_pool, program, run
from ..harness.everything import Everything, everything
from ..harness.terminal import at_terminal
from ..harness.texts import CASES, Case, Word

SHOWN = [
    pytest.param(command, case, id=f"{command}-{at}")
    for command, cases in CASES.items()
    for at, case in enumerate(cases)
]


@pytest.fixture(scope="module")
def every() -> Iterator[Everything]:
    with everything() as one:
        yield one


def words(every: Everything, said: Sequence[Word]) -> list[str]:
    return [one if isinstance(one, str) else one(every) for one in said]


def asked(every: Everything, command: str, case: Case) -> list[str]:
    """Returns the command line, after the commands that must run before it."""
    for first in case.before:
        every.lb.admin(*words(every, first))
    if command == "picks":  # later choices take the place of that of the fixture
        with every.connect("brief") as client:
            assert client.recv(1)
    return ["admin", "--socket", every.lb.socket, command, *words(every, case.args)]


def settled(every: Everything) -> None:
    """Rolls back a reload that waits for confirmation, if there is one."""
    run("admin", "--socket", every.lb.socket, "rollback")


def found(patterns: Sequence[str], text: str) -> None:
    for pattern in patterns:
        assert re.search(pattern, text, re.MULTILINE), f"{pattern} is not in:\n{text}"


def test_every_command_has_a_case() -> None:
    assert set(CASES) == set(COMMANDS)


@pytest.mark.parametrize(("command", "case"), SHOWN)
def test_it_fits_a_terminal_and_is_whole_in_a_pipe(
    every: Everything, command: str, case: Case
) -> None:
    drawn = at_terminal(*asked(every, command, case))
    settled(every)
    assert (drawn.status, "Traceback" in drawn.text) == (0, False), drawn.text
    assert drawn.text
    wide = [line for line in drawn.lines if len(line) > 80]
    assert not wide or command == "save", wide  # lines of a file are not wrapped
    found(case.terminal, drawn.text)

    done = run(*asked(every, command, case))
    settled(every)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    row = COMMANDS[command]
    assert bool(done.stdout) == (row.reads or row.tells)
    found(case.pipe, done.stdout)


TABLES = [
    name for name, row in COMMANDS.items() if row.reads and CASES[name][0].args == []
]  # fmt: skip


@pytest.mark.parametrize("columns", [30, 60, 132])
def test_a_terminal_of_any_width_is_kept_to(every: Everything, columns: int) -> None:
    for command in TABLES:
        args = ["admin", "--socket", every.lb.socket, command]
        drawn = at_terminal(*args, columns=columns)
        assert drawn.status == 0, (command, drawn.text)
        if command != "save":
            assert max(map(len, drawn.lines)) <= columns, (command, drawn.text)


def test_columns_of_a_table_in_a_pipe_are_two_spaces_apart_for_every_row(every: Everything) -> None:
    for command in ("listeners", "pools", "backends", "sessions", "workers", "discovery", "certs"):
        done = run("admin", "--socket", every.lb.socket, command)
        rows = [re.split(r" {2,}", line.rstrip()) for line in done.stdout.splitlines()]
        assert len({len(row) for row in rows}) == 1, done.stdout
        assert len(rows) == 1 + len(every.lb.ask(command))


def test_colours_are_for_terminals_that_want_them(every: Everything) -> None:
    args = ["admin", "--socket", every.lb.socket, "backends"]
    assert "\x1b[31mdown" in at_terminal(*args).raw
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in at_terminal(*args, **env).raw


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["sessions", "--backend", "web/work"], "web/works"),
        (["sessions", "--backend", "works"], "web/works"),
        (["sessions", "--listener", "wbe"], "web"),
        (["picks", "--pool", "plian"], "plain"),
        (["why", "web/gon"], "web/gone"),
        (["drain", "web/gon"], "web/gone"),
        (["kill", "--backend", "webb/gone"], "web/gone"),
        (["wait", "backend-up", "web/gon"], "web/gone"),
        (["explain", "stickey", "192.0.2.1"], "sticky"),
        (["simulate", "stickey"], "sticky"),
        (["simulate", "web", "--remove", "work"], "works"),
        (["sticky", "stickey"], "sticky"),
        (["access", "limted"], "limited"),
        (["deny", "limted", "192.0.2.1"], "limited"),
        (["add", "plian", "127.0.0.1:1"], "plain"),
        (["remove", "web/gon"], "web/gone"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
def test_a_name_that_nothing_has_is_an_error_with_the_one_that_was_meant(
    every: Everything, args: list[str], meant: str
) -> None:
    for done in (
        run("admin", "--socket", every.lb.socket, *args),
        run("admin", "--socket", every.lb.socket, *args, "--json"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        assert f"(did you mean {meant}?)" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def quiet() -> Iterator[Balancer]:
    """A balancer that nobody has used."""
    with Backends(1) as backends:
        bind = f"127.0.0.1:{PORTS.take()}"
        config = one_pool(bind, backends.addresses, process={"workers": 1, "watch_picks": 0})
        with Balancer(config) as lb:
            yield lb


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sessions", "no sessions"),
        ("picks", "no choice was kept yet"),
        ("events", "no events yet"),
        ("discovery", "no pool has a source of backends"),
        ("certs", "no certificates are in use"),
        ("sticky", "no sticky clients"),
        ("talkers", "no talkers yet"),
        ("blocks", "no source is blocked"),
        ("diff", "nothing was changed at run time"),
    ],
)
def test_where_there_is_nothing_that_is_said(quiet: Balancer, command: str, said: str) -> None:
    assert at_terminal("admin", "--socket", quiet.socket, command).text == said
    assert run("admin", "--socket", quiet.socket, command).stdout == f"{said}\n"
    assert quiet.admin(command) == []


def test_a_reader_that_leaves_early_is_no_fault(every: Everything) -> None:
    line = [*program(), "admin", "--socket", every.lb.socket, "sessions"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
