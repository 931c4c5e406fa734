"""The record of changes: each change is an event and a line of the log that say who made it, what
it was, and how it ended. A command that changes something and has no row here fails the test."""

from __future__ import annotations

import json
import os
import pwd
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from l4lb.control.commands import COMMANDS

from ..backends.test_health import Agent
from ..harness import PATIENCE_S, PORTS, Backends, Balancer, kill_and_wait, one_pool, until
from ..harness.wire import AdminError, connect, frame, read_frame
from .test_dashboard import ask as http_ask

Args = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A command that changes something. given: its arguments as asked. about: the names in them
    that are recorded apart. args: its other recorded arguments. before: commands that are run
    first."""

    given: Args
    about: Mapping[str, str] = field(default_factory=dict)
    args: Args = field(default_factory=dict)
    before: Sequence[tuple[str, Args]] = ()


A = {"backend": "web/a"}
NETWORK = {"network": "192.0.2.0/24"}
WEB = {"listener": "web"}
SOURCE = {"source": "198.51.100.0/24"}
TRIAL = [("reload", {"confirm_ms": 300_000})]
MORE = {"address": "127.0.0.1:1", "name": "more"}
CHANGES: dict[str, Change] = {
    "sticky": Change(
        {"pool": "kept", "set": "192.0.2.1", "to": "a"},
        {"pool": "kept"}, {"set": "192.0.2.1", "to": "a"},
    ),
    "cache": Change({"action": "purge", "all": True}, {}, {"action": "purge", "all": True}),
    "lists": Change({"list": "reload"}, {}, {"list": "reload"}),
    "flush": Change({"what": "verdicts"}, {}, {"what": "verdicts"}),
    "drain": Change(A, A),
    "maint": Change(A, A),
    "ready": Change(A, A),
    "weight": Change({**A, "weight": 3}, A, {"weight": 3}),
    "block": Change({**SOURCE, "for_ms": 60_000}, {}, {**SOURCE, "for_ms": 60_000}),
    "unblock": Change(SOURCE, {}, SOURCE, [("block", SOURCE)]),
    "allow": Change({**WEB, **NETWORK}, WEB, NETWORK),
    "deny": Change({**WEB, **NETWORK}, WEB, NETWORK),
    "forget": Change({**WEB, **NETWORK}, WEB, NETWORK, [("deny", {**WEB, **NETWORK})]),
    "add": Change({"pool": "kept", **MORE}, {"pool": "kept"}, MORE),
    "remove": Change(
        {"backend": "kept/less"}, {"backend": "kept/less"}, {},
        [("add", {"pool": "kept", "address": "127.0.0.1:2", "name": "less"})],
    ),
    "reload": Change({}),
    "confirm": Change({}, {}, {}, TRIAL),
    "rollback": Change({}, {}, {}, TRIAL),
    "save": Change({}),
    "rebalance": Change({}),
    "kill": Change(A, A),
    "upgrade": Change({}),
}  # fmt: skip


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(2) as running:
        yield running


@pytest.fixture(scope="module")
def lb(backends: Backends) -> Iterator[Balancer]:
    one = Balancer.before(backends.rows())
    assert one.config
    one.config["pools"]["kept"] = {"sticky": {"key": "source_ip"}, "backends": backends.rows()}
    one.config["cache"] = {"pages": {"memory": "4MiB"}}
    one.config["forward"] = {"office": {}}
    with one:
        yield one


def audit(lb: Balancer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lb.ask("audit")
    return rows


def ask_patiently(lb: Balancer, command: str, args: Args) -> None:
    """Asks with a long timeout: an upgrade takes long on a busy machine."""
    with connect(lb.socket, 3 * PATIENCE_S) as peer:
        peer.sendall(frame({"id": 1, "command": command, "args": dict(args)}))
        assert read_frame(peer)["ok"]


def told(lb: Balancer, command: str, since: int) -> dict[str, Any]:
    """Returns the newest record of this command after the first `since` records."""

    def look() -> dict[str, Any] | None:
        found = [row for row in audit(lb)[since:] if row["command"] == command]
        return found[-1] if found else None

    found: dict[str, Any] = until(look, f"{command} is recorded")
    return found


def logged(lb: Balancer, *words: str) -> bool:
    """Returns whether one line of the log is about a change with all these fields."""
    lines = [line for line in lb.log().splitlines() if "] change " in line]
    return any(all(word in line for word in words) for line in lines)


def me() -> dict[str, Any]:
    user = pwd.getpwuid(os.getuid()).pw_name
    return {"via": "admin", "user": user, "uid": os.getuid(), "pid": os.getpid()}


def test_every_command_that_changes_something_has_a_row() -> None:
    changing = {name for name, row in COMMANDS.items() if row.alters or row.is_recorded({})}
    assert set(CHANGES) == changing
    assert {name for name, row in COMMANDS.items() if not row.reads} - changing == {"wait"}


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_says_who_made_it_what_it_was_and_that_it_was_done(
    lb: Balancer, command: str
) -> None:
    change = CHANGES[command]
    for before, args in change.before:
        lb.ask(before, **args)
    since = len(audit(lb))
    ask_patiently(lb, command, change.given)
    row = told(lb, command, since)
    assert (row["kind"], row["by"], row["result"]) == ("change", me(), "done")
    assert row["args"] == change.args
    assert {key: row[key] for key in ("backend", "pool", "listener") if key in row} == change.about
    who = f"{me()['user']} (uid {os.getuid()}, pid {os.getpid()})"
    assert row["text"].startswith(command)
    assert row["text"].endswith(f" by {who}: done")
    assert row in lb.ask("events")
    about = [f"{key}={value}" for key, value in change.about.items()]
    assert logged(lb, "[info ", f"command={command} ", f"by='{who}'", "result=done", *about)


def test_what_is_only_read_or_waited_for_is_not_recorded(lb: Balancer) -> None:
    before = audit(lb)
    for name, row in COMMANDS.items():
        if name not in CHANGES and not any(arg.required for arg in row.args):
            lb.ask(name, **({"recent": True} if name == "explain" else {}))
    lb.ask("sticky", pool="kept")
    lb.ask("wait", condition="sessions-below", operand="1000000")
    assert audit(lb) == before


@pytest.mark.parametrize(
    ("command", "args", "code"),
    [
        ("drain", {"backend": "web/nobody"}, "not_found"),
        ("weight", {**A, "weight": 1_000}, "bad_argument"),
        ("maint", {**A, "colour": "blue"}, "bad_argument"),
        ("kill", {}, "bad_argument"),
        ("confirm", {}, "not_found"),
        ("unblock", {"source": "203.0.113.9"}, "not_found"),
        ("sticky", {"set": "192.0.2.1", "to": "a"}, "bad_argument"),
        ("reload", {"file": "/nowhere/l4lb.toml"}, "bad_configuration"),
        ("add", {"pool": "nobody", "address": "127.0.0.1:1"}, "not_found"),
    ],
)
def test_what_was_refused_is_recorded_with_its_reason(
    lb: Balancer, command: str, args: Args, code: str
) -> None:
    since = len(audit(lb))
    with pytest.raises(AdminError):
        lb.ask(command, **args)
    row = told(lb, command, since)
    assert (row["by"], row["result"], row["code"]) == (me(), "refused", code)
    assert row["reason"]
    assert f"refused ({code}: " in row["text"]
    assert logged(lb, f"command={command} ", "result=refused", f"code={code} ")


def test_what_an_operator_does_is_logged_however_often(lb: Balancer) -> None:
    for weight in range(100, 140):
        lb.ask("weight", backend="web/b", weight=weight)
    lines = [line for line in lb.log().splitlines() if "backend=web/b" in line]
    assert all(any(f"{{'weight': {w}}}" in line for line in lines) for w in range(100, 140))


def test_arguments_are_cut_and_cannot_begin_a_line(lb: Balancer) -> None:
    since = len(audit(lb))
    with pytest.raises(AdminError):
        lb.ask("drain", backend="x\n[info] change by=forged" + "y" * 900_000)
    row = told(lb, "drain", since)
    assert len(row["backend"]) == 256
    assert len(json.dumps(row)) < 4_096
    assert not [line for line in lb.log().splitlines() if line.startswith("[info]")]


def test_a_change_over_http_names_the_client_and_not_the_token(backends: Backends) -> None:
    http = f"127.0.0.1:{PORTS.take()}"
    process = {"http": http, "http_admin": True}
    with Balancer.before(backends.rows(), process=process) as lb:
        token = (Path(lb.socket).parent / "http.token").read_text().strip()
        drain = {"command": "drain", "args": A}
        kinds = {"Content_Type": "application/json"}
        wrong = "Bearer it-is-not-this"
        assert http_ask(lb, "POST", "/api/admin", drain, Authorization=wrong, **kinds)[0] == 401
        assert audit(lb) == []
        assert "the token is missing or wrong" in lb.log()
        right = f"Bearer {token}"
        assert http_ask(lb, "POST", "/api/admin", drain, Authorization=right, **kinds)[0] == 200
        (row,) = audit(lb)
        assert (row["command"], row["backend"], row["result"]) == ("drain", "web/a", "done")
        assert row["by"]["via"] == "http"
        assert row["by"]["client"].startswith("127.0.0.1:")
        assert logged(lb, "backend=web/a", "127.0.0.1:", "via=http")
        state = http_ask(lb, "GET", "/api/state")[1]
        assert [one["text"] for one in state["events"]] == [row["text"]]
        for secret in (token, "it-is-not-this"):
            assert secret not in lb.log() + json.dumps(state)


def test_a_signal_is_recorded_and_the_record_outlives_control_and_program(
    backends: Backends,
) -> None:
    with Balancer.before(backends.rows()) as lb:
        lb.ask("drain", **A)
        for name, command in (("HUP", "reload"), ("USR1", "reopen"), ("USR2", "upgrade")):
            lb.signal(signal.Signals[f"SIG{name}"])
            row = told(lb, command, 0)
            assert row["by"] == {"via": "signal", "signal": name}
            assert (row["result"], row["text"]) == ("done", f"{command} by signal {name}: done")
        commands = ["drain", "reload", "reopen", "upgrade"]
        assert [row["command"] for row in audit(lb)] == commands
        control = lb.child("control")
        kill_and_wait(control.pid)
        until(lambda: _answers(lb), "another control process answers")
        until(lambda: [row["command"] for row in audit(lb)] == commands, "they are told again")
        lb.signal(signal.SIGTERM)
        lb.wait()
        assert logged(lb, "command=stop ", "by='signal TERM'")


def _answers(lb: Balancer) -> bool:
    try:
        return bool(lb.ask("status"))
    except (OSError, EOFError, psutil.NoSuchProcess):
        return False


def test_what_discovery_changes_is_recorded_as_its_own(backends: Backends, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps(backends.addresses[:1]))
    config = one_pool(
        f"127.0.0.1:{PORTS.take()}", [], process={"workers": 1},
        discovery={"type": "file", "path": str(path), "interval": "1s"},
    )  # fmt: skip
    del config["pools"]["web"]["backends"]
    with Balancer(config) as lb:
        row = told(lb, "discovered", 0)
        assert (row["by"], row["pool"]) == ({"via": "discovery"}, "web")
        assert row["text"] == "1 backends found for web by discovery: done"


def test_what_an_agent_says_is_recorded_as_the_checkers(backends: Backends) -> None:
    agent = Agent()
    try:
        asking = {"port": agent.port, "interval": "50ms", "timeout": "5s"}
        with Balancer.before(backends.rows()[:1], agent=asking) as lb:
            agent.line = "drain maxconn:7"
            row = told(lb, "drain", 0)
            assert (row["by"], row["backend"]) == ({"via": "checker"}, "web/a")
            assert told(lb, "max_connections", 0)["text"].startswith("max_connections web/a 7 by ")
    finally:
        agent.close()


# ---- pools without a usable backend ----------------------------------------------------------


HEALTH = {"type": "tcp", "interval": "50ms", "timeout": "5s", "rise": 1, "fall": 1}


def pool_events(lb: Balancer) -> list[dict[str, Any]]:
    return [row for row in lb.ask("events") if row["kind"] in ("pool_down", "pool_up")]


def usable(lb: Balancer) -> int:
    return int(lb.ask("pools")[0]["up"])


def until_told(lb: Balancer, *kinds: str) -> dict[str, Any]:
    """Returns the newest of these events, once there are no others."""
    until(lambda: [row["kind"] for row in pool_events(lb)] == list(kinds), f"told: {kinds}")
    return pool_events(lb)[-1]


def test_a_pool_whose_last_backend_goes_down_is_an_event_and_an_alert(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = tmp_path / "alert"
    script.write_text(f'#!/bin/sh\necho "$L4LB_EVENT $L4LB_POOL [$L4LB_BACKEND]" >> {said}\n')
    script.chmod(0o755)
    with (
        Backends(2) as two,
        Balancer.before(two.rows(), health=HEALTH, alert=[str(script)]) as lb,
    ):
        until(lambda: {row["health"] for row in lb.ask("backends")} == {"up"}, "both are up")
        two.stop("a")
        until(lambda: usable(lb) == 1, "one is down")
        assert pool_events(lb) == []
        two.stop("b")
        row = until_told(lb, "pool_down")
        assert (row["pool"], row["usable"], row["backends"]) == ("web", 0, 2)
        assert row["text"] == "no backend is usable: 2 down"
        assert usable(lb) == 0
        assert "[warning  ] pool_down" in lb.log()
        two.start("a")
        row = until_told(lb, "pool_down", "pool_up")
        assert row["text"] == "1 of 2 backends is usable"
        until(lambda: "pool_up web []" in said.read_text(), "its alert was run")
        assert "pool_down web []" in said.read_text().splitlines()


def test_a_pool_is_down_by_operators_words_too_and_a_new_checker_does_not_tell_it_again(
    backends: Backends,
) -> None:
    with Balancer.before(backends.rows()) as lb:
        lb.ask("drain", **A)
        lb.ask("weight", backend="web/b", weight=0)
        row = until_told(lb, "pool_down")
        assert row["text"] == "no backend is usable: 1 drained, 1 without weight"
        pid = lb.ask("status")["checker"]["pid"]
        kill_and_wait(pid)
        until(lambda: lb.ask("status")["checker"]["pid"] not in (0, pid), "another checker runs")
        lb.ask("weight", backend="web/b", weight=1)
        until_told(lb, "pool_down", "pool_up")
