"""Wide ranges of ports as the supervisor runs them: as a whole where that is possible, else port by
port; and what an upgrade hands over."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from l4lb.config.address import Bind
from l4lb.config.model import Config
from l4lb.config.reading.parse import loads
from l4lb.errors import L4lbError
from l4lb.packet import look_program
from l4lb.supervisor.ranges import Ranges, foreseen
from l4lb.supervisor.sockets.listening import Listening

HERE = "10.5.0.1"
PACKET = """
[process.packet]
interfaces = ["lo"]
"""
TEXT = """
[listeners.web]
bind = ["10.5.0.1:7000-{last}"]
pool = "web"

[listeners.udp]
bind = ["10.5.0.1:7000-7099"]
protocol = "udp"
pool = "web"
{more}
[pools.web]
backends = ["127.0.0.1:1"]
"""


def configured(last: int = 7999, *, packet: bool = True, more: str = "") -> Config:
    text = (PACKET if packet else "") + TEXT.format(last=last, more=more)
    return loads(text, "l4lb.toml")


def refuse() -> None:
    raise L4lbError("no right")


@pytest.fixture
def rights(_network_of_its_own: None) -> None:
    try:
        look_program.load().close()
    except L4lbError as error:
        pytest.skip(error.message)


@pytest.fixture
def server(_network_of_its_own: None) -> Iterator[socket.socket]:
    with socket.create_server((HERE, 7000)) as one:
        one.settimeout(5)
        yield one


def is_served(server: socket.socket, port: int) -> bool:
    try:
        with socket.create_connection((HERE, port), timeout=5):
            server.accept()[0].close()
            return True
    except ConnectionRefusedError:
        return False


def given(old: Ranges) -> dict[str, Any]:
    """Returns what a next program in another process would get: descriptors of its own."""
    told = old.carried()
    return {**told, "fds": [os.dup(fd) for fd in told["fds"]], "link": os.dup(told["link"])}


@pytest.mark.usefixtures("rights")
def test_a_wide_tcp_range_is_one_address_and_all_others_are_as_ever() -> None:
    ranges = Ranges({})
    found = ranges.begin(configured())
    ranges.stop()
    assert list(map(str, found.listeners["web"].bind)) == [f"{HERE}:7000-7999"]
    assert len(found.listeners["udp"].bind) == 100
    assert len(Ranges({}).begin(configured(packet=False, last=7063)).listeners["web"].bind) == 64


def test_without_rights_each_port_has_sockets_and_what_that_forbids_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(look_program, "load", refuse)
    ranges = Ranges({})
    assert len(ranges.begin(configured(7099)).listeners["web"].bind) == 100
    assert len(ranges.marked(configured(7199)).listeners["web"].bind) == 200
    with pytest.raises(L4lbError, match=r"less than the 2100 bound addresses.*no right"):
        ranges.marked(configured(8999))
    one = '[listeners.one]\nbind = ["10.5.0.1:7001"]\npool = "web"\n'
    with pytest.raises(L4lbError, match=r"10.5.0.1:7001 is in a range of listeners.web"):
        ranges.marked(configured(7099, more=one))


@pytest.mark.parametrize("loads_again", [True, False])
@pytest.mark.usefixtures("rights")
def test_the_next_program_takes_the_ranges_over(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch, *, loads_again: bool
) -> None:
    listening = [Listening(Bind(HERE, 7000, last_port=7999), "web", 0, {0: server})]
    old = Ranges({})
    old.begin(configured())
    old.start(listening, [])
    assert is_served(server, 7100)
    if not loads_again:
        monkeypatch.setattr(look_program, "load", refuse)
    told = given(old)
    assert len(foreseen(told, configured()).listeners["web"].bind) == 1
    new = Ranges(told)
    assert len(new.begin(configured()).listeners["web"].bind) == 1
    new.start(listening, [])
    old.stop()
    assert is_served(server, 7100)
    listening[0].bind = Bind(HERE, 7000, last_port=7050)
    new.sync()
    assert [is_served(server, port) for port in (7050, 7051)] == [True, False]
    new.stop()
    assert not is_served(server, 7050)
