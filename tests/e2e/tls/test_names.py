"""The certificate that a client gets, the one that it must have, and the ALPN protocol that both
agree on."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator

import pytest

from ..harness import Backends, Balancer, until
from ..harness.secure import Authority, certificate_names, fails, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


@pytest.fixture(scope="module")
def many(ca: Authority) -> Iterator[Balancer]:
    """A balancer with one listener that has certificates of all kinds."""
    tls = {
        "certificates": [
            ca.issue("localhost"),
            ca.issue("www.example.test", "example.test", file="www-rsa", key="RSA"),
            ca.issue("www.example.test", file="www-ec", key="EC"),
            ca.issue("*.example.test", file="wild"),
            ca.issue("UPPER.example.test", file="upper"),
        ],
        "alpn": ["h2", "http/1.1"],
    }
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls) as lb:
        yield lb


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("localhost", "localhost"),
        ("www.example.test", "www.example.test"),
        ("WWW.Example.Test", "www.example.test"),
        ("example.test", "www.example.test"),
        ("other.example.test", "*.example.test"),
        ("upper.example.test", "upper.example.test"),
    ],
)
def test_the_name_chooses_the_certificate(
    many: Balancer, ca: Authority, asked: str, shown: str
) -> None:
    with secure(many.connect(), ca.client(), asked) as peer:
        assert shown in certificate_names(peer)


@pytest.mark.parametrize("asked", ["a.b.example.test", "unknown.test"])
def test_a_name_that_nobody_has_gets_the_first(many: Balancer, ca: Authority, asked: str) -> None:
    context = ca.client(check_hostname=False)
    with secure(many.connect(), context, asked) as peer:
        assert certificate_names(peer) == ["localhost"]


@pytest.mark.parametrize(("ciphers", "kind"), [("aRSA", "RSA"), ("aECDSA", "EC")])
def test_of_one_name_a_client_gets_the_key_that_it_can_use(
    many: Balancer, ca: Authority, ciphers: str, kind: str
) -> None:
    context = ca.client(ciphers=ciphers, maximum_version=ssl.TLSVersion.TLSv1_2)
    with secure(many.connect(), context, "www.example.test") as peer:
        name = peer.cipher()[0]  # type: ignore[index]
        assert ("ECDSA" in name) == (kind == "EC")
        assert "www.example.test" in certificate_names(peer)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)],
)
def test_the_protocol_is_the_first_of_ours_that_the_client_offers(
    many: Balancer, ca: Authority, offered: list[str], chosen: str | None
) -> None:
    with secure(many.connect(), ca.client(alpn=offered)) as peer:
        assert peer.selected_alpn_protocol() == chosen


def test_no_protocol_in_common_is_an_alert(many: Balancer, ca: Authority) -> None:
    reason = fails(many.connect(), ca.client(alpn=["smtp"]))
    assert "NO_APPLICATION_PROTOCOL" in reason


def test_with_strict_sni_a_name_that_nobody_has_is_an_alert(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")], "strict_sni": True}
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=1) as lb:
        secure(lb.connect(), ca.client()).close()
        assert "UNRECOGNIZED_NAME" in fails(lb.connect(), ca.client(), "other.test")
        why = "no certificate for the server name"
        until(lambda: lb.ask("listeners")[0]["tls"]["last_failure"] == why, "it is told why")
        nameless = ca.client(check_hostname=False)
        with pytest.raises(ssl.SSLError):
            secure(lb.connect(), nameless, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("verify", ["required", "optional"])
def test_clients_show_certificates(ca: Authority, verify: str, version: str) -> None:
    only = {"maximum_version": getattr(ssl.TLSVersion, version)}
    tls = {"certificates": [ca.issue("localhost")], "ca": ca.path, "verify": verify}
    with (
        Authority() as stranger,
        Backends(1) as backends,
        Balancer.secured(backends.addresses, tls, workers=1) as lb,
    ):
        mine, foreign = ca.issue("client", file="client"), stranger.issue("client")
        with secure(lb.connect(), ca.client(cert=mine, **only)) as peer:
            assert peer.recv(1) == b"a"
        if verify == "optional":
            with secure(lb.connect(), ca.client(**only)) as peer:
                assert peer.recv(1) == b"a"
        else:
            assert fails(lb.connect(), ca.client(**only))
        assert fails(lb.connect(), ca.client(cert=foreign, **only))


@pytest.mark.skipif(not shutil.which("sslscan"), reason="sslscan is not installed")
@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
def test_a_scanner_finds_nothing_below_the_least_version(ca: Authority, minimum: str) -> None:
    tls = {
        "certificates": [ca.issue("localhost"), ca.issue("localhost", file="rsa", key="RSA")],
        "min_version": minimum,
    }
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls) as lb:
        host, port = lb.address
        scan = subprocess.run(
            ["sslscan", "--no-colour", "--sni-name=localhost", f"{host}:{port}"],
            capture_output=True, text=True, timeout=100, check=True,
        ).stdout  # fmt: skip
    enabled = [line for line in scan.splitlines() if line.rstrip().endswith("enabled")]
    versions = {line.split()[0] for line in enabled if line.startswith(("SSLv", "TLSv"))}
    assert versions == ({"TLSv1.3"} if minimum == "1.3" else {"TLSv1.2", "TLSv1.3"}), scan
    accepted = [line.split() for line in scan.splitlines() if line.startswith(("Accepted", "Pref"))]
    assert accepted
    for _, version, bits, *_ in accepted:
        assert version in versions
        assert int(bits) >= 128
    assert "heartbleed" not in scan.replace("not vulnerable to heartbleed", "")
    assert "renegotiation supported" not in scan.replace("Session renegotiation not supported", "")
