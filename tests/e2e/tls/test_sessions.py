"""TLS sessions are resumed by any worker; certificates are replaced under traffic."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ..harness import PORTS, Backends, Balancer, one_pool, run, toml, until
from ..harness.secure import Authority, certificate_names, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def certs(lb: Balancer) -> dict[str, Any]:
    """Returns the row of the first certificate."""
    row: dict[str, Any] = lb.ask("certs")[0]
    return row


def visit(
    lb: Balancer, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bool, ssl.SSLSession]:
    """Makes a whole connection. Returns whether its session was resumed, and the session for the
    next one."""
    with secure(lb.connect(), context, session=session) as peer:
        assert peer.recv(1) == b"a"
        assert peer.session is not None
        return bool(peer.session_reused), peer.session


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_any_worker_resumes_what_another_began(ca: Authority, version: str) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    context = ca.client(maximum_version=getattr(ssl.TLSVersion, version))
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=3) as lb:
        resumed, session = visit(lb, context)
        assert not resumed
        for _ in range(24):
            resumed, session = visit(lb, context, session)
            assert resumed
        accepted = [row["accepted"] for row in lb.ask("workers")]
        assert all(accepted), "every worker had a part"
        row = lb.ask("listeners")[0]
        assert row["tls"]["resumed"] == 24
        assert row["tls"]["full"] == 1
        lb.kill(0)
        until(lambda: all(row["pid"] for row in lb.ask("workers")), "all workers run")
        for _ in range(12):
            resumed, session = visit(lb, context, session)
            assert resumed


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_ticket_is_worth_no_more_than_the_authority_behind_it(
    ca: Authority, tmp_path: Path, version: str
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(Path(ca.path).read_text())
    tls = {"certificates": [ca.issue("localhost")], "ca": str(trusted)}
    context = ca.client(
        maximum_version=getattr(ssl.TLSVersion, version), cert=ca.issue("client", file="client")
    )
    with (
        Authority() as other,
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, tls, workers=1, process={"tls": {"watch": "50ms"}}
        ) as lb,
    ):
        _, session = visit(lb, context)
        resumed, session = visit(lb, context, session)
        assert resumed
        before = certs(lb)["loaded"]
        trusted.write_text(Path(other.path).read_text())
        until(lambda: certs(lb)["loaded"] > before, "the other authority is in force")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            visit(lb, context, session)


def test_without_tickets_nothing_is_resumed(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")], "tickets": False}
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=1) as lb:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ca.client(maximum_version=version)
            with secure(lb.connect(), context) as peer:
                assert peer.recv(1) == b"a"
                session = peer.session
            if session is not None and session.has_ticket:
                raise AssertionError("a ticket was given")
            with secure(lb.connect(), context, session=session) as peer:
                assert not peer.session_reused


def test_the_key_of_tickets_rotates_and_the_one_before_stays_valid(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    with (
        Backends(1) as backends,
        Balancer.secured(backends.addresses, tls, process={"tls": {"ticket_lifetime": "3s"}}) as lb,
    ):
        context = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        began = time.monotonic()
        _, first = visit(lb, context)
        issued, session, resumptions = began, first, 0
        while time.monotonic() - began < 7:  # why: the lifetime of ticket keys is tested
            before = time.monotonic()
            resumed, session = visit(lb, context, session)
            if resumed:
                resumptions += 1
            else:
                assert time.monotonic() - issued > 2.5, "a ticket lived less than its lifetime"
                issued = before
            time.sleep(0.2)
        assert resumptions
        assert not visit(lb, context, first)[0], "an old key is forgotten"


def test_a_hundred_replacements_under_load_fail_no_handshake(ca: Authority) -> None:
    row = ca.issue("localhost", file="swapped")
    context = ca.client()
    stop, failures, visits = threading.Event(), [], [0] * 4

    def come(lb: Balancer, index: int) -> None:
        while not stop.is_set():
            try:
                visit(lb, context)
                visits[index] += 1
            except Exception as error:
                failures.append(repr(error))

    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, {"certificates": [row]}, process={"tls": {"watch": "50ms"}}
        ) as lb,
        secure(lb.connect(), context) as old,
    ):
        shown = old.getpeercert()
        clients = [threading.Thread(target=come, args=(lb, index)) for index in range(4)]
        for client in clients:
            client.start()
        try:
            for _ in range(100):
                before = certs(lb)["generation"]
                ca.issue("localhost", file="swapped")

                def swapped(before: int = before) -> bool:
                    now = certs(lb)
                    return bool(now["loaded"] > before)

                until(swapped, "every worker has loaded the new certificate")
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert not failures
        assert all(visits)
        with secure(lb.connect(), context) as peer:
            assert peer.getpeercert() != shown
            assert peer.getpeercert()["serialNumber"] == certs(lb)["serial"]  # type: ignore[index]
        old.sendall(b"still served")
        got = b""
        while len(got) < 14:
            got += old.recv(100)
        assert got == b"a\nstill served"


def test_what_does_not_fit_is_not_taken_and_told(ca: Authority) -> None:
    row = ca.issue("localhost", file="broken")
    good = Path(row["key"]).read_bytes()
    context = ca.client()
    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, {"certificates": [row]}, process={"tls": {"watch": "50ms"}}
        ) as lb,
    ):
        with secure(lb.connect(), context) as peer:
            serial = peer.getpeercert()["serialNumber"]  # type: ignore[index]
        other = ca.issue("localhost", file="other")
        Path(row["key"]).write_bytes(Path(other["key"]).read_bytes())
        until(lambda: "cannot be used" in lb.log(), "the log tells it")
        with secure(lb.connect(), context) as peer:
            assert peer.getpeercert()["serialNumber"] == serial  # type: ignore[index]
        lb.kill(0)
        until(lambda: all(row["pid"] for row in lb.ask("workers")), "all workers run")
        for _ in range(6):
            with secure(lb.connect(), context) as peer:
                assert peer.getpeercert()["serialNumber"] == serial  # type: ignore[index]
        Path(row["key"]).write_bytes(good)


def test_certs_tells_names_and_days(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost", "www.example.test", file="told", key="RSA")]}
    web = f"127.0.0.1:{PORTS.take()}"
    with (
        Backends(1) as backends,
        Balancer.secured(backends.addresses, tls, workers=1, process={"http": web}) as lb,
    ):
        row = certs(lb)
        assert row["of"] == "listeners.web"
        with urllib.request.urlopen(f"http://{web}/metrics", timeout=10) as answer:
            told = f'of="listeners.web",file="{row["file"]}"}} {row["days_left"]}\n'
            assert f"l4lb_certificate_days_left{{{told}" in answer.read().decode()
        assert row["names"] == ["localhost", "www.example.test"]
        assert row["key"] == "RSA 2048"
        assert row["days_left"] > 300
        assert lb.admin("certs")[0]["file"] == tls["certificates"][0]["cert"]
        with secure(lb.connect(), ca.client()) as peer:
            assert certificate_names(peer) == ["localhost", "www.example.test"]


def test_a_file_that_is_gone_stays_in_force_and_is_told(ca: Authority) -> None:
    row = ca.issue("localhost", file="gone")
    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, {"certificates": [row]}, process={"tls": {"watch": "50ms"}}
        ) as lb,
    ):
        Path(row["key"]).unlink()
        until(lambda: row["key"] in lb.log(), "the log tells it")
        lb.admin("reload")
        lb.kill(0)
        until(lambda: all(row["pid"] for row in lb.ask("workers")), "all workers run")
        for _ in range(4):
            secure(lb.connect(), ca.client()).close()


def upgraded(lb: Balancer) -> None:
    """Upgrades; returns when new workers serve, in the supervisor's old process."""
    pids, pid = lb.pids(), lb.status()["pid"]
    lb.admin("upgrade")
    assert set(lb.pids()).isdisjoint(pids)
    assert lb.status()["pid"] == pid


def test_an_upgrade_goes_on_with_what_is_in_force_whatever_the_files_are_by_then(
    ca: Authority,
) -> None:
    row = ca.issue("localhost", file="handed")
    tls = {"certificates": [row], "ca": ca.path}
    process = {"tls": {"watch": "50ms"}}
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, process=process) as lb:
        context, before = ca.client(cert=row), certs(lb)["sha256"]
        _, session = visit(lb, context)
        Path(row["key"]).write_text("half of")
        upgraded(lb)
        Path(row["cert"]).unlink()
        until(lambda: "not a PEM file" in lb.log(), "what does not fit is told")
        upgraded(lb)
        assert visit(lb, context, session)[0]
        assert certs(lb)["sha256"] == before
        ca.issue("localhost", file="handed")
        until(lambda: certs(lb)["sha256"] != before, "what fits again is taken")
        visit(lb, context)


def test_sessions_that_stay_behind_in_an_upgrade_end_in_order_and_have_their_lines(
    ca: Authority,
) -> None:
    tls = {"certificates": [ca.issue("localhost", file="behind")]}
    process = {"drain_timeout": "2s", "log": {"access": "stdout", "format": "json"}}
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, process=process) as lb:
        context = ca.client()
        with secure(lb.connect(), context) as leaves, secure(lb.connect(), context) as stays:
            assert (leaves.recv(1), stays.recv(1)) == (b"a", b"a")
            upgraded(lb)
            leaves.close()
            until(lambda: lb.out().count("\n") == 1, "the line of the one that left")
            until(lambda: lb.out().count("\n") == 2, "the line of the one that stayed")
        ends = [json.loads(line)["end"] for line in lb.out().splitlines()]
        assert ends == ["client_fin", "drain_timeout"]
        until(lambda: lb.ask("stats")["ended"].get("drain_timeout") == 1, "it is counted")
        assert lb.ask("stats")["connections_lost"] == 0


def test_check_tells_what_is_wrong_with_certificates(ca: Authority, tmp_path: Path) -> None:
    good, other = ca.issue("localhost", file="checked"), ca.issue("localhost", file="another")
    secret = tmp_path / "secret.key"
    key = load_pem_private_key(Path(good["key"]).read_bytes(), None)
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    )
    pairs: list[tuple[dict[str, str], str]] = [
        (other | {"cert": good["cert"]}, "certificates[0].key"),
        (good | {"cert": "/nowhere/cert.pem"}, "/nowhere/cert.pem cannot be read"),
        (good | {"cert": good["key"]}, "it has no certificate"),
        ({"cert": good["cert"]}, "it has no private key"),
        (good | {"key": ca.issue("a.test", key="RSA")["key"]}, "key type mismatch"),
        (good | {"key": str(secret)}, "the private key is encrypted"),
    ]
    settings: list[tuple[dict[str, str], str]] = [
        ({}, "ok"),
        ({"verify": "required"}, "tls.verify: is without effect"),
        ({"ca": good["key"]}, "there is no certificate in it"),
        ({"ciphers": "eNULL"}, "none of them can be used"),
        ({"ciphers": "ALL:@SECLEVEL=0"}, "ask for no certificate"),
        ({"ciphers": "eNULL:@SECLEVEL=0"}, "do not encrypt"),
        ({"ciphers": "nonsense"}, "no cipher match"),
    ]
    for tls, said in [
        *(({"certificates": [pair]}, said) for pair, said in pairs),
        *(({"certificates": [good], **more}, said) for more, said in settings),
    ]:
        config = one_pool("127.0.0.1:1", ["127.0.0.1:2"])
        config["listeners"]["web"]["tls"] = tls
        path = tmp_path / "l4lb.toml"
        path.write_text(toml(config))
        done = run("check", "-c", str(path))
        assert said in done.stdout + done.stderr, (tls, done.stderr)
        assert done.returncode == (0 if said == "ok" else 2)
