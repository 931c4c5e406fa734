"""Discovery under traffic: backends from files and DNS, through faults and restarts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..harness import PORTS, Backends, Balancer, Load, one_pool, read_line, send_signal, toml, until
from ..harness.netns import two_hosts
from ..harness.program import program
from ..harness.wire import AdminError


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(4) as running:
        yield running


def replace(path: Path, addresses: list[str]) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(addresses))
    os.replace(beside, path)


def found_in(path: Path, own: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """Returns a configuration whose pool finds its backends in a file."""
    config = one_pool(
        f"127.0.0.1:{PORTS.take()}", own or [], process={"workers": 2},
        discovery={"type": "file", "path": str(path), "interval": "1s"} | more,
    )  # fmt: skip
    if not own:
        del config["pools"]["web"]["backends"]
    return config


def has(lb: Balancer, *addresses: str) -> None:
    until(
        lambda: {row["address"] for row in lb.ask("backends")} == set(addresses),
        f"its backends are {addresses}",
    )


def kinds(lb: Balancer) -> list[str]:
    return [event["kind"] for event in lb.ask("events")]


def starts_late(go: Path, line: str) -> list[str]:
    """Returns the command of a source that answers this line once the file `go` exists."""
    wait = f"until [ -e {go} ]; do sleep 0.05; done; echo '{line}'; while :; do sleep 1; done"
    return ["/bin/sh", "-c", wait]


@contextlib.contextmanager
def starting(config: dict[str, Any]) -> Iterator[Balancer]:
    """A balancer that waits for its source's first answer before it serves."""
    with Balancer(config, serves=False) as lb:
        assert lb.ask("discovery")[0]["answers"] == 0
        assert not any(row["pid"] for row in lb.ask("workers"))
        yield lb


def test_clients_of_a_start_wait_for_the_first_answer(backends: Backends, tmp_path: Path) -> None:
    go, one = tmp_path / "go", backends.addresses[0]
    config = found_in(tmp_path)
    command = starts_late(go, json.dumps([one]))
    config["pools"]["web"]["discovery"] = {"type": "exec", "command": command}
    with starting(config) as lb, lb.connect() as early:
        with pytest.raises(AdminError, match="the service is starting"):
            lb.ask("reload")
        lb.signal(signal.SIGHUP)  # waits too
        go.touch()
        assert read_line(early)
        until(lambda: "reloaded" in kinds(lb), "it is reloaded")
        assert "discovery has found no backend" not in lb.log_path.read_text()


def test_a_start_waits_no_longer_for_a_source_that_fails_or_hangs(
    backends: Backends, tmp_path: Path
) -> None:
    config = found_in(tmp_path)
    config["pools"]["web"]["backends"] = backends.rows()
    config["pools"]["fails"] = {
        "discovery": {"type": "file", "path": str(tmp_path / "none"), "interval": "1s"}
    }
    config["listeners"]["fails"] = {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": "fails"}
    with Balancer(config) as lb, lb.connect() as client:
        assert read_line(client)
        assert "discovery has found no backend" in lb.log_path.read_text()
        assert lb.ask("discovery")[1]["failures"]
    del config["process"]["admin"]  # it is in the first balancer's folder
    config["pools"]["fails"]["discovery"] = {
        "type": "exec", "command": starts_late(tmp_path / "none", ""),
    }  # fmt: skip
    with Balancer(config) as lb, lb.connect() as client:
        assert read_line(client)
        assert not lb.ask("discovery")[1]["answers"]


def test_a_service_that_waits_for_its_sources_ends_when_it_is_told(
    tmp_path: Path,
) -> None:
    config = found_in(tmp_path)
    config["pools"]["web"]["discovery"] = {
        "type": "exec", "command": starts_late(tmp_path / "none", ""),
    }  # fmt: skip
    with starting(config) as lb:
        old = lb.child("control").pid
        send_signal(old, signal.SIGKILL)
        until(lambda: lb.child("control").pid != old, "another control process runs")
        lb.signal(signal.SIGTERM)
        assert lb.process.wait(20) == 0


def test_a_file_feeds_a_pool_and_what_stays_keeps_its_counts(
    backends: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    one, two, three, four = backends.addresses
    replace(path, [one, two])
    with Balancer(found_in(path, own=[four])) as lb:
        has(lb, one, two, four)
        with lb.connect() as held:
            assert read_line(held)
            lb.admin("weight", f"web/{one}", "7")
            replace(path, [one, three])
            has(lb, one, three, four)
            assert {row["name"]: row["weight"] for row in lb.ask("backends")}[one] == 7
        until(lambda: kinds(lb).count("discovery_changed") == 2, "both changes are told")
        (source,) = lb.admin("discovery")
        assert (source["pool"], source["type"], source["found"]) == ("web", "file", 2)
        path.write_text("nonsense")
        until(lambda: "discovery_failed" in kinds(lb), "the failure is told")
        has(lb, one, three, four)
        replace(path, [two, three])
        has(lb, two, three, four)
        until(lambda: "discovery_recovered" in kinds(lb), "its end is told")


def test_changes_under_load_lose_nobody(backends: Backends, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    addresses = backends.addresses
    replace(path, addresses)
    with Balancer(found_in(path)) as lb:
        has(lb, *addresses)
        with Load(lb) as load:
            for turn in range(12):
                names = [addresses[turn % 4], addresses[(turn + 1) % 4]]
                replace(path, names)
                has(lb, *names)
                load.wait_for_more(10)
        assert load.failures == []


def test_a_reload_that_brings_a_source_lets_clients_meet_no_empty_pool(
    backends: Backends, tmp_path: Path
) -> None:
    """Whether a pool gets a source instead of its backends, or a listener a pool with a source."""
    go, one = tmp_path / "go", backends.addresses[0]
    config = one_pool(f"127.0.0.1:{PORTS.take()}", backends.rows(), process={"workers": 2})
    with Balancer(config) as lb, Load(lb, threads=2, size=100) as load:
        source = {"type": "exec", "command": starts_late(go, json.dumps([one]))}
        config["pools"]["web"] = {"discovery": source}
        (lb.folder / "l4lb.toml").write_text(toml(config))
        with subprocess.Popen([*program(), "admin", "--socket", lb.socket, "reload"]) as reload:
            load.wait_for_more(20)
            assert reload.poll() is None
            go.touch()
            assert reload.wait(20) == 0
        has(lb, one)
        load.wait_for_more(20)
        config["pools"]["next"] = {"discovery": {"type": "file", "path": str(tmp_path / "b.json")}}
        config["listeners"]["web"]["pool"] = "next"
        replace(tmp_path / "b.json", [backends.addresses[1]])
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        load.wait_for_more(20)
        assert "discovery has found no backend" not in lb.log()
    assert load.failures == []


def test_a_large_loss_waits_for_the_checks(backends: Backends, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    one, two, three, _ = backends.addresses
    with PORTS.taken() as port:
        nobody = f"127.0.0.1:{port}"
        replace(path, [one, two, three, nobody])
        config = found_in(path)
        config["pools"]["web"]["health"] = {"interval": "100ms", "fall": 1, "rise": 1}
        with Balancer(config) as lb:
            until(
                lambda: (
                    [row["health"] for row in lb.ask("backends")].count("up") == 3
                    and any(row["health"] == "down" for row in lb.ask("backends"))
                ),
                "they are checked",
            )
            replace(path, [])
            has(lb, one, two, three)  # a backend that is down may be removed
            until(lambda: "discovery_held" in kinds(lb), "it is told")
            (source,) = lb.admin("discovery")
            assert source["held"] == sorted([one, two, three])
            replace(path, [one, two])
            has(lb, one, two)


def test_the_death_of_the_control_process_and_reloads_keep_what_was_found(
    backends: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    one, two, three, _ = backends.addresses
    replace(path, [one, two])
    config = found_in(path)
    with Balancer(config) as lb:
        has(lb, one, two)
        path.unlink()
        send_signal(lb.child("control").pid, signal.SIGKILL)
        until(lb.answers, "it is back")
        until(lambda: "discovery_failed" in kinds(lb), "its source fails")
        has(lb, one, two)
        other = tmp_path / "c.json"
        replace(other, [two, three])
        config["pools"]["web"]["discovery"]["path"] = str(other)
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        has(lb, two, three)


def test_two_names_at_one_address_serve_beside_one_another(
    backends: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    one, two, *_ = backends.addresses
    path.write_text(json.dumps([
        {"name": "x", "address": one}, {"name": "y", "address": one}, one, "no address", two, two
    ]))  # fmt: skip
    with Balancer(found_in(path)) as lb:
        has(lb, one, two)
        names = {row["name"] for row in lb.ask("backends")}
        assert names == {"x", "y", one, two}
        for _ in range(8):
            with lb.connect() as client:
                assert read_line(client)
        totals = [row["total"] for row in lb.ask("backends")]
        assert totals == [2, 2, 2, 2]
        (told,) = (event for event in lb.ask("events") if event["kind"] == "discovery_incomplete")
        assert "no address" in told["text"]
        assert lb.admin("discovery")[0]["incomplete"] == [told["text"]]
        assert kinds(lb).count("discovery_changed") == 1


def test_a_program_is_gone_with_the_control_process_and_runs_again_with_its_successor(
    backends: Backends, tmp_path: Path
) -> None:
    one = backends.addresses[0]
    note = tmp_path / "pids"
    text = f"echo $$ >> {note}; env >&2; echo '[\"{one}\"]'; while :; do sleep 0.05; done"
    config = found_in(tmp_path)
    config["pools"]["web"]["discovery"] = {"type": "exec", "command": ["/bin/sh", "-c", text]}
    with Balancer(config) as lb:
        has(lb, one)
        send_signal(lb.child("control").pid, signal.SIGKILL)
        until(lb.answers, "it is back")
        until(lambda: len(note.read_text().split()) == 2, "the program runs again")
        first, second = map(int, note.read_text().split())
        until(lambda: not psutil.pid_exists(first), "the first one is gone")
        has(lb, one)
        lb.signal(signal.SIGKILL)
        until(lambda: not psutil.pid_exists(second), "the second one is gone with the service")
        lb.process.wait(20)


def test_addresses_of_a_family_that_this_host_lacks_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    config = one_pool("127.0.0.1:8080", [], process={"workers": 1},
        discovery={"type": "file", "path": str(path), "interval": "1s"})  # fmt: skip
    del config["pools"]["web"]["backends"]
    near, far = "10.9.0.1:80", "[2001:db8::1]:80"
    replace(path, [near, far])
    with (
        two_hosts(["10.9.0.1"], "10.9.0.2") as hosts,
        Balancer(config, command=[*hosts.prefix, *program()]) as lb,
    ):
        has(lb, near)
        (told,) = (one for one in lb.ask("events") if one["kind"] == "discovery_unreachable")
        assert told["backends"] == [far]
        assert lb.admin("discovery")[0]["unreachable"] == [far]
        link = subprocess.run(
            [*hosts.prefix, "ip", "-o", "link", "show", "type", "veth"],
            check=True, capture_output=True, text=True,
        ).stdout.split()[1].partition("@")[0]  # fmt: skip
        add = ["ip", "-6", "route", "add", "2001:db8::/32", "dev", link]
        subprocess.run([*hosts.prefix, *add], check=True, timeout=20)
        has(lb, near, far)  # as soon as there is a route
        config["pools"]["web"]["discovery"]["family"] = "ipv6"
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        has(lb, far)


def test_a_long_list_is_taken(backends: Backends, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    many = [f"127.0.{n // 250}.{1 + n % 250}:9" for n in range(1_500)]
    replace(path, [*many, backends.addresses[0]])
    with Balancer(found_in(path)) as lb:
        until(lambda: len(lb.ask("pools")) and lb.ask("pools")[0]["backends"] == 1_501, "all of it")
        replace(path, backends.addresses[:1])
        until(lambda: "discovery_held" in kinds(lb), "the loss is held back")


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="no dnsmasq here")
def test_dns_feeds_a_pool_and_outlives_its_server(backends: Backends, tmp_path: Path) -> None:
    host, _, port = backends.addresses[0].rpartition(":")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{host} web.example\n")
    with PORTS.taken() as dns, contextlib.ExitStack() as stack:
        server = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces", f"--port={dns}",
             "--pid-file", f"--addn-hosts={hosts}", "--local=/example/", "--user=root"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(server.wait, 20)
        stack.callback(server.terminate)
        config = found_in(tmp_path)
        config["pools"]["web"]["discovery"] = {
            "type": "dns", "name": "web.example", "port": int(port),
            "servers": [f"127.0.0.1:{dns}"], "min_ttl": "100ms", "max_ttl": "200ms",
            "timeout": "1s", "interval": "500ms",
        }  # fmt: skip
        with Balancer(config) as lb:
            has(lb, f"{host}:{port}")
            with lb.connect() as client:
                assert read_line(client)
            hosts.write_text(f"{host} web.example\n127.0.9.9 web.example\n")
            server.send_signal(signal.SIGHUP)
            has(lb, f"{host}:{port}", f"127.0.9.9:{port}")
            hosts.write_text("")
            server.send_signal(signal.SIGHUP)
            until(lambda: "discovery_failed" in kinds(lb), "the name is gone")
            has(lb, f"{host}:{port}", f"127.0.9.9:{port}")
