"""Access lists: networks in the configuration and in files, and how other clients are turned
away."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, one_pool, read_line, run, toml, until


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1) as backends:
        yield backends


def balancer(echo: Backends, **access: Any) -> Balancer:
    config = one_pool(f"127.0.0.1:{PORTS.take()}", echo.addresses, process={"workers": 2})
    config["listeners"]["web"]["access"] = access
    return Balancer(config)


def comes_in(lb: Balancer, source: str) -> bool:
    """Returns whether a client from this address is served. If not, it must be reset."""
    try:
        with socket.create_connection(lb.address, 20, (source, 0)) as client:
            return read_line(client) == "a"
    except ConnectionResetError:
        return False


def test_the_longest_prefix_decides_and_others_come_in(echo: Backends) -> None:
    with balancer(echo, deny=["127.0.0.0/24"], allow=["127.0.0.8/29"]) as lb:
        assert [comes_in(lb, f"127.0.0.{n}") for n in (1, 7, 8, 15, 16)] == [
            False, False, True, True, False,
        ]  # fmt: skip
        assert comes_in(lb, "127.0.1.1")
        assert lb.ask("stats")["ended"]["rejected:denied"] == 3
        (listener,) = lb.ask("listeners")
        assert listener["refused"] == 3


def test_an_ipv4_client_is_known_however_its_address_is_written(echo: Backends) -> None:
    lb = balancer(echo, deny=["10.1.2.0/24", "::ffff:10.1.3.0/120"])
    assert lb.config
    lb.config["limits"] = {"auto_block": {"refusal": "reject"}}
    lb.config["listeners"]["web"] |= {
        "proxy_protocol": "require",
        "trusted": ["127.0.0.1"],
        "limits": {"connections_per_source": 1},
    }
    with lb, contextlib.ExitStack() as stack:

        def is_served(told: str) -> bool:
            client = stack.enter_context(socket.create_connection(lb.address, 20))
            client.sendall(f"PROXY TCP6 {told} ::1 1000 2000\r\n".encode())
            try:
                return read_line(client) == "a"
            except ConnectionResetError:
                return False

        assert not is_served("::ffff:10.1.2.9")
        assert not is_served("::ffff:10.1.3.9")
        assert is_served("::ffff:10.1.4.9")
        assert is_served("::ffff:10.1.5.9")
        assert not is_served("::ffff:10.1.5.9")
        assert {row["client"] for row in lb.ask("sessions")} == {"10.1.4.9:1000", "10.1.5.9:1000"}
        assert lb.admin("block", "::ffff:10.1.6.9")["source"] == "10.1.6.9"
        assert not is_served("::ffff:10.1.6.9")


def test_with_allow_alone_all_others_are_turned_away(echo: Backends) -> None:
    with balancer(echo, allow=["127.0.0.2"]) as lb:
        assert comes_in(lb, "127.0.0.2")
        assert not comes_in(lb, "127.0.0.3")


def test_a_rule_in_dry_run_only_counts(echo: Backends) -> None:
    with balancer(echo, deny=["127.0.0.0/8"], dry_run=True) as lb:
        assert comes_in(lb, "127.0.0.2")
        (listener,) = lb.ask("listeners")
        assert listener["dry_run"] == {"rejected:denied": 1}
        assert listener["refused"] == 0


def test_a_file_is_watched_and_a_broken_one_changes_nothing(echo: Backends, tmp_path: Path) -> None:
    path = tmp_path / "deny"
    path.write_text("127.0.0.2 # one\n")
    with balancer(echo, deny_file=str(path)) as lb:
        assert not comes_in(lb, "127.0.0.2")
        assert comes_in(lb, "127.0.0.3")
        new = tmp_path / "new"
        new.write_text("127.0.0.3\n")
        new.rename(path)
        until(lambda: not comes_in(lb, "127.0.0.3"), "the new list is in force")
        assert comes_in(lb, "127.0.0.2")
        path.write_text("127.0.0.2\nnonsense\n")
        until(lambda: f"{path}:2: this is no network" in lb.log(), "the error is told")
        assert not comes_in(lb, "127.0.0.3")
        path.write_text("# nobody\n")
        until(lambda: comes_in(lb, "127.0.0.3"), "the empty list is in force")


def test_long_lists_change_without_a_pause_whatever_befalls_who_builds_them(
    echo: Backends, tmp_path: Path
) -> None:
    many = "".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in range(0, 60_000, 2))
    path, other = tmp_path / "deny", tmp_path / "other"
    path.write_text(many)
    other.write_text(many + "127.0.0.7\n")
    with balancer(echo, deny_file=str(path)) as lb:
        assert comes_in(lb, "127.0.0.2")
        path.write_text(many + "127.0.0.2\n")
        until(lambda: not comes_in(lb, "127.0.0.2"), "the new list is in force")
        path.write_text(many + "127.0.0.2\n127.0.0.300\n")
        until(
            lambda: lb.ask("events")[-1].get("why", "").startswith(f"{path}:30002: "),
            "the error is told",
        )
        assert not comes_in(lb, "127.0.0.2")
        assert {"kind": "networks_changed", "files": [str(path)]}.items() <= lb.ask("events")[
            -2
        ].items()
        assert lb.config
        lb.config["listeners"]["web"]["access"] = {"deny_file": str(other)}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert comes_in(lb, "127.0.0.2")
        assert not comes_in(lb, "127.0.0.7")
        other.write_text(many + "what\n")
        lb.config["listeners"]["web"]["access"] = {"allow_file": str(other)}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        refused = run("admin", "--socket", lb.socket, "reload")
        assert refused.returncode == 1
        assert f"{other}:30001: this is no network" in refused.stderr
        assert comes_in(lb, "127.0.0.2")


@pytest.mark.parametrize("lines", [0, 10_000], ids=["built-at-once", "built-in-a-child"])
def test_a_broken_file_keeps_no_other_from_being_taken(
    echo: Backends, tmp_path: Path, lines: int
) -> None:
    rest = "".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in range(0, 2 * lines, 2))
    good, bad, new, wrong = (tmp_path / name for name in ("good", "bad", "new", "wrong"))
    for path in (good, bad):
        path.write_text(rest + "127.0.0.2\n")
    lb = balancer(echo, deny_file=str(good))
    assert lb.config
    other = {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": "web"}
    lb.config["listeners"]["other"] = {**other, "access": {"deny_file": str(bad)}}
    with lb:
        new.write_text(rest + "127.0.0.3\n")
        wrong.write_text(rest + "nonsense\n")
        wrong.rename(bad)
        new.rename(good)
        until(lambda: f"{bad}:" in lb.log(), "the broken one is told")
        until(lambda: not comes_in(lb, "127.0.0.3"), "the good one is in force")
        assert comes_in(lb, "127.0.0.2")


def test_a_file_that_is_gone_is_told_and_its_last_list_holds(
    echo: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "deny"
    path.write_text("127.0.0.2\n")
    with balancer(echo, deny_file=str(path)) as lb:
        path.unlink()
        until(
            lambda: (
                [row.get("why") for row in lb.ask("events")]
                == [f"the list of networks {path} is gone"]
            ),
            "it is told once",
        )
        assert not comes_in(lb, "127.0.0.2")
        path.write_text("127.0.0.3\n")
        until(lambda: not comes_in(lb, "127.0.0.3"), "it is read again")
        about = path.stat()
        with path.open("r+") as file:
            file.write("127.0.0.4\n")
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        until(lambda: not comes_in(lb, "127.0.0.4"), "also if its time is kept")


def test_a_list_that_cannot_be_read_at_start_is_an_error(echo: Backends, tmp_path: Path) -> None:
    path = tmp_path / "deny"
    path.write_text("127.0.0.2\n10.0.0.0/40\n")
    with pytest.raises(AssertionError, match=f"{path}:2: this is no network"):
        balancer(echo, deny_file=str(path)).__enter__()
    config = balancer(echo, deny_file=str(path)).config
    assert config
    file = tmp_path / "l4lb.toml"
    file.write_text(toml(config))
    checked = run("check", "-c", str(file))
    assert checked.returncode == 2
    told = f"listeners.web.access.deny_file: {path}:2: this is no network or address"
    assert told in checked.stderr
    path.unlink()
    assert "No such file" in run("check", "-c", str(file)).stderr
    os.mkfifo(path)
    with pytest.raises(AssertionError, match="is no file"):
        balancer(echo, deny_file=str(path)).__enter__()


def test_drop_says_nothing_and_a_tarpit_holds_its_clients(echo: Backends) -> None:
    with balancer(echo, deny=["127.0.0.2"], refusal="drop") as lb:
        client = socket.create_connection(lb.address, 20, ("127.0.0.2", 0))
        with client:
            until(lambda: lb.ask("stats")["ended"].get("rejected:denied") == 1, "it is dropped")
            client.settimeout(0.3)
            with pytest.raises((TimeoutError, ConnectionResetError)):
                client.recv(1)  # a reset, where l4lb may not drop silently
    with (
        balancer(echo, deny=["127.0.0.2"], refusal="tarpit") as lb,
        socket.create_connection(lb.address, 20, ("127.0.0.2", 0)) as client,
    ):
        until(lambda: [row["state"] for row in lb.ask("sessions")] == ["tarpit"], "it is held")
        with socket.create_connection(lb.address, 20, ("127.0.0.2", 0)):
            until(lambda: len(lb.ask("sessions")) == 2, "another is held")
        until(lambda: len(lb.ask("sessions")) == 1, "who leaves is let go")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_tarpit_lets_go_after_its_time(echo: Backends) -> None:
    lb = balancer(echo, deny=["127.0.0.2"], refusal="tarpit")
    assert lb.config is not None
    lb.config["limits"] = {"tarpit_time": "700ms"}
    with lb:
        started = time.monotonic()
        with socket.create_connection(lb.address, 20, ("127.0.0.2", 0)) as client:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            assert time.monotonic() - started > 0.6
        assert lb.ask("stats")["ended"] == {"rejected:denied": 1}
        assert lb.status()["connections"] == 0


def test_rules_are_given_and_taken_at_run_time(echo: Backends) -> None:
    with balancer(echo, deny=["127.0.0.0/24"]) as lb:
        assert not comes_in(lb, "127.0.0.2")
        given = lb.admin("allow", "web", "127.0.0.2")
        assert given == {
            "listener": "web", "network": "127.0.0.2", "rule": "allow", "for_ms": None
        }  # fmt: skip
        assert comes_in(lb, "127.0.0.2")
        assert not comes_in(lb, "127.0.0.3")
        lb.admin("deny", "web", "127.0.1.0/24", "--for", "1h")
        assert not comes_in(lb, "127.0.1.9")
        assert comes_in(lb, "127.0.2.9")
        assert [
            (row["network"], row["rule"], row["from"]) for row in lb.admin("access", "web")
        ] == [
            ("127.0.0.2", "allow", "admin"),
            ("127.0.1.0/24", "deny", "admin"),
            ("127.0.0.0/24", "deny", "configuration"),
            ("others", "allow", "configuration"),
        ]
        assert lb.ask("access")[1]["left_s"] in range(3_500, 3_601)
        assert lb.config
        del lb.config["listeners"]["web"]["access"]
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert not comes_in(lb, "127.0.1.9")
        assert comes_in(lb, "127.0.0.3")
        lb.admin("upgrade")
        until(lb.answers, "the new program answers")
        assert not comes_in(lb, "127.0.1.9")
        lb.admin("forget", "web", "127.0.1.0/24")
        assert comes_in(lb, "127.0.1.9")
        assert [row["rule"] for row in lb.ask("events") if row["kind"] == "access_changed"] == [
            "allow", "deny", "forgotten",
        ]  # fmt: skip
        lb.admin("deny", "web", "127.0.0.0/8", "--for", "1s")
        until(lambda: comes_in(lb, "127.0.0.3"), "the rule has run out", every_s=0.2)
        for args, told in (
            (("deny", "nobody", "10.0.0.1"), "no listener is named nobody"),
            (("forget", "web", "10.0.0.1"), "see `l4lb admin access`"),
        ):
            wrong = run("admin", "--socket", lb.socket, *args)
            assert wrong.returncode == 1
            assert told in wrong.stderr
        wrong = run("admin", "--socket", lb.socket, "allow", "web", "everybody")
        assert wrong.returncode == 2
