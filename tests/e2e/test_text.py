"""The text of every admin command over a service with every kind of listener, pool and event: at a
terminal of 80 columns, and in a pipe. A command without a case here fails."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from l4lb.control.commands import COMMANDS

from .harness import PORTS, Backends, Balancer, one_pool, program, run, toml
from .harness.everything import LONG, Everything, everything
from .harness.terminal import at_terminal

NUMBERS = itertools.count()
Word = str | Callable[[Everything], str]


@dataclass(frozen=True)
class Case:
    """One command line. terminal and pipe: patterns that must be found in what it says there, in
    one line each; before: what is asked first."""

    args: Sequence[Word]
    terminal: Sequence[str] = ()
    pipe: Sequence[str] = ()
    before: Sequence[Sequence[Word]] = ()


def file(every: Everything) -> str:
    """A configuration that changes a pool of the service, and needs a restart."""
    config = {**every.lb.config, "limits": {"max_pools": 77}}  # type: ignore[dict-item]
    pools = {**config["pools"]}
    pools["plain"] = {**pools["plain"], "backends": pools["plain"]["backends"][:1]}
    path = every.folder / "new.toml"
    path.write_text(toml({**config, "pools": pools}))
    return str(path)


def session(every: Everything) -> str:
    """The id of one more session."""
    before = {row["id"] for row in every.lb.ask("sessions")}
    every.stay("ports")
    return next(row["id"] for row in every.lb.ask("sessions") if row["id"] not in before)


def fresh(_: Everything) -> str:
    """A name that nothing has."""
    return f"n{next(NUMBERS)}"


def dead(every: Everything) -> str:
    return every.dead


CHANGED = [
    r"is in force: 2 changes$",
    r"^  changed limits: max_pools 256 -> 77$",
    r"^  removed backend plain/127\.0\.0\.1:\d+$",
    r"^needs a restart: limits\.max_pools takes effect at the next upgrade or restart$",
]
CASES: dict[str, list[Case]] = {
    "status": [
        Case(
            [],
            [
                r"^uptime +\d+ (s|min)$",
                r"^checker +pid \d+, heartbeat age \d+ ms, stale no$",
                r"^  WORKER +PID +STATE",
                r"^  local +unix:/tmp/\S+…\S+local\.sock +tcp +plain ",
                r"^      datagrams: 1 in, 1 out$",
                r"^      tls: 3 full, 0 resumed, 0 failed$",
            ],
            [
                r"^uptime_s: \d+$",
                r"^  name +bind +protocol +pool ",
                r" 3 full, 0 resumed, 0 failed ",
            ],
        )
    ],
    "listeners": [
        Case(
            [],
            [r"^NAME +BIND +PROTOCOL +POOL +ACTIVE", r"^names +127\.0\.0\.1:\d+ +udp +names +1 "],
            [
                r"^name +bind +protocol",
                r"^local +unix:/tmp/\S+/a-folder-with-a-long-name/of/local\.sock",
            ],
        )
    ],
    "pools": [
        Case(
            [],
            [
                r"^NAME +BALANCE +BACKENDS +UP",
                r"^narrow +round_robin +1 +1 +1 +1 +1 +refuse$",
                r"^empty +round_robin +0 +0 +0 +0",
                r"^    0 full, 0 resumed, 1 failed \(last: .+\)$",
            ],
            [r"^name +balance +backends +up +active +total +waiting +when_all_down +tls$"],
        )
    ],
    "backends": [
        Case(
            [],
            [
                r"^BACKEND +STATE +HEALTH +ACTIVE",
                r"^web/gone +ready +down .* refused \d+ ms ago$",
                r"^web/backend…\S+-end +ready +up ",
                r"^lasting/gone +ready +ejected ",
                r"^not shown: address, weight, ",
            ],
            [
                r"^backend +address +weight +state .* response_time_ms +last_check$",
                rf"^web/{LONG} +127\.0\.0\.1:\d+ +1 +ready +up +1 +1 +0 +0 +2 ",
            ],
        ),
        Case(
            ["-v"],
            [
                r"^BACKEND +HEALTH +SINCE",
                r"^    tcp refused in .* in a row: Connection refused$",
                r"^    connect: Connection refused, \d+ min more$",
            ],
            [rf"^web/{LONG} +up .* tcp ok in .* in a row: connected$"],
        ),
    ],
    "sessions": [
        Case(
            [],
            [
                r"^ID +CLIENT +BACKEND +STATE +AGE",
                r"^\S+ +unix: +plain/",
                r"^\S+ +\S+ +- +queues ",
                r" \d+ B$",
                r"^not shown: protocol, listener, idle, sni, tls ",
            ],
            [
                r"^id +protocol +client .* sni +tls$",
                r" sticky\.example\.test +TLSv1\.3",
                rf" web/{LONG} +relays ",
                r"\[2001:db8::192:0:2:7\]:50000 ",
            ],
        ),
        Case(["--backend", "lasting/gone"], [r"^no sessions$"], [r"^no sessions$"]),
    ],
    "picks": [
        Case(
            ["--limit", "3", "--pool", "brief"],
            [
                r"^ +AGE +CLIENT +LISTENER +BACKEND",
                r"brief/works",
                r"candidates: gone \d/1, works \d/1",
            ],
            [r"^age_ms +client +listener +backend +because +candidates$", r"brief/works +first"],
        )
    ],
    "why": [
        Case(
            ["web/gone"],
            [
                r"^serves +no$",
                r"^because +\d+ checks in a row failed",
                r"^returns +1 passed checks",
                r"^events:$",
                r"^  \S+ \S+Z  backend_down  web/gone  Connection refused, ",
            ],
            [
                r"^serves: no$",
                r"^because:$",
                r"^connect_errors: 0$",
                r"backend_down  backend web/gone",
            ],
        ),
        Case(
            ["brief/gone"],  # was ejected, and came back
            [r"^serves +yes$", r"backend_ejected  brief/gone", r"backend_returned  brief/gone"],
            [r"backend_ejected  backend brief/gone", r"backend_returned  backend brief/gone"],
        ),
        Case(["lasting/gone"], [r"ejected \S+ \S+ ago for 60 min"], [r"by itself in \d+ min"]),
    ],
    "workers": [
        Case(
            [],
            [r"^WORKER +PID +STATE +ACTIVE", r"^0 +\d+ +runs +\d+ .* \d+ (s|min)$"],
            [r"^index +pid +cpu +state", r"^1 +\d+ +\S+ +runs "],
        )
    ],
    "events": [
        Case(
            [],
            [
                r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ  backend_ejected  brief/gone ",
                r"^ {22}\S",
                r"discovery_changed  found  ",
            ],
            [r"^20\S+\+00:00  backend_ejected  backend brief/gone, was .*for_ms 1000, "],
        )
    ],
    "discovery": [
        Case(
            [],
            [
                r"^POOL +TYPE +FOUND",
                r"^found +file +1 +1 +0 +\d+ +0 +\d+ \S+$",
                r"^empty +file +0 +0 ",
            ],
            [r"^pool +type +found +backends +held +answers +failures +answer_age_ms +error$"],
        )
    ],
    "certs": [
        Case(
            [],
            [r"^OF +DAYS LEFT", r"^listeners\.secure +\d+ +EC 256", r"\*\.example\.test"],
            [r"^of +days_left +key +issuer +file +names$", r" \*\.example\.test$"],
        )
    ],
    "stats": [
        Case(
            [],
            [
                r"^bytes out +\d+ B$",
                r"^ended +.*no backend 1",
                r"^  MEASURE +HALF WITHIN +99 % WITHIN$",
                r"^  session +\S+ m?s +\S+ m?s$",
            ],
            [r"^bytes_out: \d+$", r"^  measure +median_ms +most_ms$"],
        )
    ],
    "sticky": [
        Case(
            ["sticky"],
            [
                r"^POOL +CLIENT +BACKEND +IDLE +EXPIRES$",
                r"^sticky +2001:db8::192:0:2:7 .* \d+ min$",
            ],
            [r"^pool +client +backend +idle_ms +expires_ms$"],
        ),
        Case(
            ["sticky", "--set", "192.0.2.99", "--to", lambda every: every.backends.address("b")],
            [r"^client +192\.0\.2\.99$"],
            [r"^client: 192\.0\.2\.99$"],
        ),
    ],
    "explain": [
        Case(
            ["plain", "192.0.2.1"],
            [r"^outcome +served$", r"^why +its hash names slot", r"^  NAME +USABLE +WEIGHT"],
            [r"^hash: [0-9a-f]+$", r"^  name +usable "],
        ),
        Case(["empty", "192.0.2.1"], [r"^outcome +refused$"], [r"^candidates: -$"]),
        Case(["--recent", "--limit", "2"], [r"^ +AGE +CLIENT"], [r"^age_ms +client"]),
    ],
    "simulate": [
        Case(
            ["sticky", "--add", "new=2"],
            [r"^moved +5\d(\.\d)? %$", r"^  new +2 +0 % +\S+ % +0 "],
            [r"^moved: 0\.\d+$", r"^  new +2 +0\.0 "],
        ),
        Case(["web", "--remove", "works"], [r"^moved +-$"], [r"^keys: -$"]),
    ],
    "drain": [Case(["names/b"], [r"^names/b drains: no new sessions$"])],
    "maint": [Case(["names/b"], [r"^names/b is out of service$"])],
    "ready": [Case(["names/b"], [r"^names/b is ready$"])],
    "weight": [Case(["names/b", "3"], [r"^names/b has weight 3$"])],
    "talkers": [
        Case(
            [],
            [r"^SOURCE +ACTIVE +SESSIONS +REJECTED", r"^127\.0\.0\.1 .* \d+ (s|min)$"],
            [r"^source +active +sessions +rejected +bytes +age_s$"],
        )
    ],
    "block": [
        Case(["198.51.100.1", "--for", "1h"], [r"^198\.51\.100\.1 is blocked for 1 h$"]),
        Case(["198.51.100.2"], [r"^198\.51\.100\.2 is blocked for good$"]),
    ],
    "blocks": [
        Case(
            [],
            [r"^SOURCE +BY +DRY RUN +AGE +LEFT$", r"^203\.0\.113\.0/24 +admin +no .* 59 min$"],
            [
                r"^source +by +dry_run +age_s +left_s$",
                r"^203\.0\.113\.0/24 +admin +no +\d+ +3\d{3}$",
            ],
            [["block", "203.0.113.0/24", "--for", "1h"]],
        )
    ],
    "unblock": [
        Case(
            ["198.51.100.3"],
            [r"^198\.51\.100\.3 may come again$"],
            (),
            [["block", "198.51.100.3"]],
        )
    ],
    "access": [
        Case(
            [],
            [
                r"^LISTENER +NETWORK +RULE +FROM +LEFT$",
                r"^limited +2001:db8::/32 +allow +configuration +for good$",
            ],
            [r"^listener +network +rule +from +left_s$", r"^limited +192\.0\.2\.0/24 +deny "],
        )
    ],
    "allow": [
        Case(
            ["limited", "192.0.2.7", "--for", "90s"],
            [r"^192\.0\.2\.7\S* may come in on limited for 90 s$"],
        )
    ],
    "deny": [
        Case(
            ["web", "192.0.2.8"],
            [r"^192\.0\.2\.8\S* is turned away on web for good$"],
        )
    ],
    "forget": [
        Case(
            ["web", "192.0.2.9"],
            [r"^192\.0\.2\.9\S* has no rule of its own on web any more$"],
            (),
            [["deny", "web", "192.0.2.9"]],
        )
    ],
    "add": [
        Case(
            ["names", dead, "--name", fresh, "--weight", "7"],
            [r"^names/n\d+ is added at 127\.0\.0\.1:\d+ with weight 7$"],
        )
    ],
    "remove": [
        Case(
            ["names/less"],
            [r"^names/less is removed$"],
            (),
            [["add", "names", dead, "--name", "less"]],
        )
    ],
    "plan": [
        Case([], [r"would change nothing"], [r"would change nothing"]),
        Case(
            [file],
            [
                r"would change this:$",
                *CHANGED[1:],
                r"^  POOL +LIVE +ON REMOVED +HASH KEYS MOVED$",
                r"^  plain +\d +\d +(\d\d|100) %$",
            ],
            [*CHANGED[1:], r"^  pool +live +on_removed_backends +hash_keys_moved$"],
        ),
    ],
    "reload": [
        Case([], [r"l4lb\.toml is in force"], [r"l4lb\.toml is in force"]),
        Case(
            [file, "--confirm", "5m"],
            [*CHANGED, r"^not for good: it goes back in 5 min unless `l4lb admin confirm` comes$"],
            [*CHANGED, r"^not for good: it goes back in 5 min unless `l4lb admin confirm` comes$"],
        ),
    ],
    "confirm": [Case([], [r"stays in force$"], (), [["reload", "--confirm", "5m"]])],
    "rollback": [
        Case(
            [],
            [r"^the configuration before is in force: nothing"],
            [r"^the configuration before is in force: nothing"],
            [["reload", "--confirm", "5m"]],
        )
    ],
    "diff": [
        Case(
            [],
            [r"^changed backend names/a: weight 1 -> 9$", r"^added backend found/127\.0\.0\.1:"],
            [r"^changed backend names/a: weight 1 -> 9$"],
            [["weight", "names/a", "9"]],
        )
    ],
    "save": [Case([], [r"^\[pools\.", r"^\[listeners\."], [r"^\[pools\."])],
    "rebalance": [Case([], [r"^\d+ sessions have changed their worker$"])],
    "kill": [
        Case([session], [r"^session \d+\.\d+\.\d+ is ended$"]),
        Case(["--backend", "names/b"], [r"^0 sessions of names/b are ended$"]),
    ],
    "wait": [
        Case(
            ["backend-down", "web/gone"],
            [r"^backend-down web/gone: so after \d+(\.\d)? m?s$"],
        )
    ],
    "upgrade": [Case([], [r"^version \S+ has taken over$"])],
}
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
    """The command line, after what has to be asked before it."""
    for first in case.before:
        every.lb.admin(*words(every, first))
    return ["admin", "--socket", every.lb.socket, command, *words(every, case.args)]


def settled(every: Everything) -> None:
    """No reload waits to be confirmed."""
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
    assert not wide or command == "save", wide  # a file is a file
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
    """One that nobody has used."""
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
