"""Gives the kernel's program the rules of its twin, and packets."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from l4lb.native import sets
from l4lb.native.packet_rows import Policy, Rate, Service

from .frames import PORTS, TARGETS
from .twin import Rules, Twin

if TYPE_CHECKING:
    from l4lb.native.packet import Networks, Shield

PASS, DROP = (-1 & 0xFFFFFFFF, 2), (2, 1)  # answers of a program of tc, of XDP
LOOPBACK = 1
LONG_NS = 10**12  # no test takes so long that a token comes back
LOCAL = ["10.5.0.1", "10.5.0.2", "fd05::1", "fd05::2"]
DENIED = Rules(access={"10.0.0.0/8": sets.DENY, "fd00::/8": sets.DENY})
_never_used = itertools.count(1000)  # why: the program does not forget what it has seen of a source


def built(networks: dict[str, int], number: int) -> Networks:
    """Returns networks as the shield has them, by way of the set that workers would have."""
    from l4lb.native.packet import Networks

    values = sorted(set(networks.values()))
    lists = [("\n".join(n for n, v in networks.items() if v == one).encode(), one)
             for one in values]  # fmt: skip
    with mmap.mmap(-1, 4 << 20) as memory:
        size = sets.build(memory, 0, lists)
        return Networks(memory[:size], number)


def fill(shield: Shield, networks: Networks) -> None:
    while networks.fill(shield):
        pass


def empty(shield: Shield, networks: Networks) -> None:
    while networks.empty(shield):
        pass


def teach(shield: Shield, twin: Twin) -> None:
    """Gives the program the twin's rules."""
    from l4lb.native.packet import client_key

    shield.clear()
    shield.clear_known()
    for (address, port, protocol), place in twin.services.items():
        shield.put_service(Service(str(address), port, protocol), *place)
    number = 0
    for listener, rules in twin.rules.items():
        numbers = []
        for networks in (rules.proxies, rules.blocks, rules.speakers, rules.rules, rules.access):
            number += 1
            fill(shield, built(dict(networks), number))
            numbers.append(number if networks else 0)
        rate = None
        if rules.limit is not None:
            rate = Rate(LONG_NS, rules.limit.burst, next(_never_used), *rules.limit.prefixes)
        shield.put_policy(
            listener, Policy(*numbers, rules.judges_access, rules.others_denied, rules.dry_run,
                             rules.denied_pass, rate),
        )  # fmt: skip
    shield.put_settings(any(rules.limit for rules in twin.rules.values()))
    for listener, address, port in twin.known:
        shield.put_known(client_key(listener, str(address), port))


def twin_of(rules: Rules, **more: object) -> Twin:
    """Returns a twin with one listener on all TARGETS and PORTS, for TCP and UDP."""
    services = {
        (ipaddress.ip_address(address), port, protocol): (1, 0)
        for address in TARGETS
        for port in PORTS
        for protocol in ("tcp", "udp")
    }
    given_ = {"services": services, "rules": {1: rules}, "known": set(), **more}
    return Twin(local=set(map(ipaddress.ip_address, LOCAL)), **given_)  # type: ignore[arg-type]


@contextlib.contextmanager
def counted(shield: Shield, listener: int) -> Iterator[dict[str, int]]:
    """Yields a dictionary that has, after the block, by how much the counts have grown."""
    before = shield.counts(listener)
    grown: dict[str, int] = {}
    yield grown
    after = shield.counts(listener)
    grown |= {key: value - getattr(before, key) for key, value in after._asdict().items()}


def drops(shield: Shield, packet: bytes, interface: int = LOOPBACK) -> bool:
    answer, _ = shield.run(packet, interface)
    assert answer & 0xFFFFFFFF in (PASS[shield.is_xdp], DROP[shield.is_xdp])
    return answer == DROP[shield.is_xdp]
