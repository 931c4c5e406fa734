"""DNS against dnsmasq: records that change, names that disappear, a server that stops."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.discovery.types import Member
from tests.e2e.harness.deadline import until
from tests.e2e.harness.ports import PORTS
from tests.unit.discovery.conftest import following

pytestmark = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="no dnsmasq here")


class Dnsmasq:
    """A dnsmasq started for the tests on a loopback port."""

    def __init__(self, folder: Path) -> None:
        self.port = PORTS.take()
        self._hosts = folder / "hosts"
        self._hosts.write_text("")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
             f"--port={self.port}", "--pid-file",
             f"--addn-hosts={self._hosts}", "--local-ttl=1", "--local=/example/", "--user=root",
             *options],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, "dnsmasq answers")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def hosts(self, **addresses: list[str]) -> None:
        """Sets A and AAAA records, by the first label of their name."""
        lines = [f"{one} {name}.example" for name, all_of in addresses.items() for one in all_of]
        self._hosts.write_text("\n".join(lines) + "\n")
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Dnsmasq]:
    with contextlib.closing(contextlib.ExitStack()) as stack:
        server = Dnsmasq(tmp_path)
        stack.callback(PORTS.release, server.port)
        stack.callback(server.stop)
        yield server


def asked(dnsmasq: Dnsmasq, name: str, **more: object) -> dict[str, object]:
    return {
        "type": "dns", "name": name, "servers": [dnsmasq.server], "min_ttl": "100ms",
        "max_ttl": "200ms", "timeout": "1s", **more,
    }  # fmt: skip


def test_addresses_of_both_families_change_under_it(dnsmasq: Dnsmasq) -> None:
    dnsmasq.hosts(web=["127.0.1.1", "::1"])
    dnsmasq.start()
    with following(**asked(dnsmasq, "web.example", port=80)) as source:
        assert source.addresses() == ["127.0.1.1:80", "[::1]:80"]
        dnsmasq.hosts(web=["127.0.1.1", "127.0.1.2"])
        source.until("127.0.1.1:80", "127.0.1.2:80")
    with following(**asked(dnsmasq, "web.example", port=80, record="aaaa")) as source:
        assert source.addresses() == []


def test_a_name_that_goes_is_a_fault_and_no_empty_answer(dnsmasq: Dnsmasq) -> None:
    dnsmasq.hosts(web=["127.0.1.1"])
    dnsmasq.start()
    with following(**asked(dnsmasq, "web.example", port=80)) as source:
        assert source.addresses() == ["127.0.1.1:80"]
        dnsmasq.hosts()
        assert source.fault() == '"web.example" does not exist'


def test_a_server_that_stops_is_a_fault(dnsmasq: Dnsmasq) -> None:
    dnsmasq.hosts(web=["127.0.1.1"])
    dnsmasq.start()
    with following(**asked(dnsmasq, "web.example", port=80)) as source:
        assert source.addresses() == ["127.0.1.1:80"]
        dnsmasq.stop()
        assert '"web.example"' in source.fault()


def test_services_bring_ports_weights_and_priorities(dnsmasq: Dnsmasq) -> None:
    dnsmasq.hosts(a=["127.0.1.1"], b=["127.0.1.2"], c=["127.0.1.3"])
    dnsmasq.start(
        "--srv-host=_web._tcp.example,a.example,81,10,60000",
        "--srv-host=_web._tcp.example,b.example,82,10,30000",
        "--srv-host=_web._tcp.example,c.example,83,20,0",
        "--srv-host=_gone._tcp.example,a.example,81",
    )
    with following(**asked(dnsmasq, "_web._tcp.example")) as source:
        assert source.next() == [
            Member("127.0.1.1:81", weight=256),
            Member("127.0.1.2:82", weight=128),
            Member("127.0.1.3:83", weight=1, backup=True),
        ]
        dnsmasq.hosts(a=["127.0.1.9"], b=["127.0.1.2"], c=["127.0.1.3"])
        source.until("127.0.1.2:82", "127.0.1.3:83", "127.0.1.9:81")


def test_the_time_to_live_has_a_floor(dnsmasq: Dnsmasq) -> None:
    dnsmasq.hosts(web=["127.0.1.1"])
    dnsmasq.start("--log-queries", f"--log-facility={dnsmasq._hosts}.log")
    slow = asked(dnsmasq, "web.example", port=80) | {"min_ttl": "1h", "max_ttl": "1h"}
    log = Path(f"{dnsmasq._hosts}.log")
    with following(**slow) as source:
        assert source.addresses()
        with following(**asked(dnsmasq, "web.example", port=81, record="a")) as other:
            for _ in range(4):
                assert other.addresses()
        assert source.quiet()
    # The patient provider asked once, the other one once for each answer.
    assert log.read_text().count("query[A] web.example") >= 5
