"""Users, rules, lists and names of a forward proxy."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.discovery.nameserver import Nameserver, nameserver

from ..harness import Backends, Balancer, toml, until
from ..harness.http import answer
from ..harness.origin import Origin
from .proxy import ALL, Tunnel, ask, basic, lines, proxy

# what `openssl passwd -apr1` and `-6` make
USERS = [("ann", "-apr1", "right"), ("bob", "-6", "also right")]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("users") / "htpasswd"
    rows = []
    for name, kind, password in USERS:
        ran = subprocess.run(
            ["openssl", "passwd", kind, password], capture_output=True, text=True, check=True
        )
        rows.append(f"{name}:{ran.stdout.strip()}")
    file.write_text("\n".join(rows) + "\n")
    (file.parent / "groups").write_text("staff: ann\n")
    return file


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(lambda _: answer(b"hello")) as one:
        yield one


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1, "quiet") as backends:
        yield backends


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with nameserver() as one:
        yield one


def with_users(users: Path, **more: object) -> Balancer:
    auth = {"htpasswd": str(users), "groups": str(users.parent / "groups"), "realm": "office"}
    rules = [
        {"name": "staff", "group": "staff", "action": "allow"},
        {"name": "others", "user": "*", "action": "deny"},
    ]
    return proxy(auth=auth, rules=rules, **more)  # type: ignore[arg-type]


def test_a_client_logs_in_and_the_log_names_it(users: Path, origin: Origin, tmp_path: Path) -> None:
    log = tmp_path / "access"
    url = f"http://{origin.address}/"
    with with_users(users, log=log) as lb:
        challenged = ask(lb, url)
        assert challenged.status == 407
        assert challenged.get("proxy-authenticate") == 'Basic realm="office"'
        assert ask(lb, url, fields=[basic("ann", "wrong")]).status == 407
        assert ask(lb, url, fields=[basic("ann", "right")]).body == b"hello"
        assert ask(lb, url, fields=[basic("bob", "also right")]).status == 403
        found = lines(log, 4)
        until(lambda: "user=ann" in lb.log(), "the failed log-in is told")
    assert [line.get("user") for line in found[2:]] == ["ann", "bob"]
    assert [line.get("rule") for line in found[2:]] == ["staff", "others"]


def test_a_list_denies_names_and_is_swapped_under_traffic(
    origin: Origin, server: Nameserver, tmp_path: Path
) -> None:
    file = tmp_path / "list.txt"
    file.write_text("other.example\n")
    port = origin.address.rsplit(":", 1)[1]
    server.zone["ads.example A"] = ["ads.example 60 A 127.0.0.1"]
    with proxy(
        rules=[{"name": "ads", "list": ["ads"], "action": "deny"}, ALL],
        lists={"ads": {"files": [str(file)]}},
        resolve={"servers": [f"127.0.0.1:{server.port}"], "family": "ipv4"},
    ) as lb:
        assert ask(lb, f"http://ads.example:{port}/").status == 200
        file.write_text("ads.example\n")
        until(lambda: ask(lb, f"http://ads.example:{port}/").status == 403, "it is denied")


def test_a_name_that_changes_its_address_leads_nowhere_else(
    origin: Origin, server: Nameserver
) -> None:
    port = origin.address.rsplit(":", 1)[1]
    with proxy(
        inside=False,
        resolve={
            "servers": [f"127.0.0.1:{server.port}"],
            "family": "ipv4",
            "min_ttl": "100ms",
            "timeout": "1s",
        },
    ) as lb:
        before = len(origin.requests)
        for number in range(60):
            address = "127.0.0.1" if number % 2 else "192.0.2.1"
            server.zone["evil.example A"] = [f"evil.example 0 A {address}"]
            if number % 2:
                assert ask(lb, f"http://evil{number}.example:{port}/").status in (403, 502)
                assert ask(lb, f"http://evil.example:{port}/").status in (403, 502, 504)
        assert len(origin.requests) == before


def test_the_second_address_is_tried_if_the_first_does_not_answer(
    origin: Origin, server: Nameserver
) -> None:
    port = origin.address.rsplit(":", 1)[1]
    server.zone["two.example A"] = [f"two.example 60 A {one}" for one in ("127.0.0.9", "127.0.0.1")]
    with proxy(resolve={"servers": [f"127.0.0.1:{server.port}"], "family": "ipv4"}) as lb:
        assert ask(lb, f"http://two.example:{port}/").body == b"hello"
        assert ask(lb, "http://nowhere.example/").status == 502


def test_other_rules_hold_after_a_reload(echo: Backends) -> None:
    address = str(echo.rows()[0]["address"])
    with proxy() as lb:
        assert lb.config is not None
        with Tunnel(lb, address) as tunnel:
            assert tunnel.echoes(b"before")
            lb.config["forward"]["office"]["rules"] = [{"name": "none", "action": "deny"}]
            (lb.folder / "l4lb.toml").write_text(toml(lb.config))
            lb.admin("reload")
            until(lambda: status(lb, address) == 403, "it is denied")
            assert tunnel.echoes(b"after")


def status(lb: Balancer, target: str) -> int:
    with Tunnel(lb, target) as tunnel:
        return tunnel.status


def test_a_service_without_its_policy_refuses_in_time(echo: Backends) -> None:
    address = str(echo.rows()[0]["address"])
    with proxy(policy_timeout="300ms") as lb:
        policy = lb.child("policy")
        policy.suspend()
        try:
            begun = time.monotonic()
            assert status(lb, address) == 503
            assert time.monotonic() - begun < 20
        finally:
            policy.resume()
        until(lambda: status(lb, address) == 200, "it answers again")
