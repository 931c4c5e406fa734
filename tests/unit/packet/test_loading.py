"""The shield as a whole: its maps and their limits, the rights that it needs, its interfaces."""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from l4lb.native import sets
from l4lb.packet.attach import handle_of

from .frames import TCP, frame, tcp
from .teaching import DENIED, LOOPBACK, built, counted, drops, empty, fill, teach, twin_of
from .twin import Rules

packet = pytest.importorskip("l4lb.native.packet", reason="built without libbpf")
if TYPE_CHECKING:
    from l4lb.native.packet import Shield

DENY = sets.DENY


# ---- limits and descriptors ----------------------------------------------------------------------


def test_a_set_that_finds_no_room_leaves_nothing_behind(shield: Shield) -> None:
    teach(shield, twin_of(DENIED))
    half = {f"{ipaddress.IPv4Address(n << 1)}": DENY for n in range(packet.NETWORKS_MAX // 2 + 1)}
    first, second = built(half, 901), built(half, 902)
    fill(shield, first)
    with pytest.raises(OverflowError, match="131072"):
        fill(shield, second)
    empty(shield, second)
    empty(shield, first)
    third = built(half, 903)
    fill(shield, third)
    empty(shield, third)
    assert drops(shield, frame("10.0.0.1", "10.5.0.1", tcp(80), TCP))


def test_the_maps_take_as_much_as_they_say(shield: Shield) -> None:
    shield.clear_known()
    for n in range(packet.KNOWN_MAX):
        shield.put_known(packet.client_key(n, "10.0.0.1", 1))
    with pytest.raises(OSError, match=r"too long|space") as caught:
        shield.put_known(packet.client_key(packet.KNOWN_MAX, "10.0.0.1", 1))
    assert caught.value.errno in (errno.E2BIG, errno.ENOSPC)
    shield.clear_known()
    shield.put_known(packet.client_key(packet.KNOWN_MAX, "10.0.0.1", 1))


def test_descriptors_lead_to_the_same_maps(shield: Shield) -> None:
    teach(shield, twin_of(DENIED))
    again = packet.Shield.adopt([os.dup(fd) for fd in shield.fds])
    with counted(again, 1) as grown:
        assert drops(shield, frame("10.0.0.1", "10.5.0.1", tcp(80), TCP))
    assert grown["denied"] == 1
    again.close()


def test_other_descriptors_are_refused(shield: Shield) -> None:
    fds = [os.dup(fd) for fd in shield.fds]
    with pytest.raises(OSError, match="Protocol error"):
        packet.Shield.adopt([*fds[1:], fds[0]])


@pytest.mark.usefixtures("shield")
def test_it_needs_two_rights_and_no_other() -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv (Debian: util-linux)")
    load = "from l4lb.packet import program; program.load()"
    for rights, works in (("+bpf,+net_admin", True), ("+net_admin", False)):
        alone = [setpriv, "--inh-caps=-all", f"--bounding-set=-all,{rights}"]
        done = subprocess.run([*alone, sys.executable, "-c", load], cwd="/", capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert (done.returncode == 0) == works, done.stderr
    assert "CAP_BPF and CAP_NET_ADMIN" in done.stderr


# ---- interfaces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["tcx", "clsact"])
def test_it_is_attached_and_detached(shield: Shield, way: str) -> None:
    """tcx is there since Linux 6.6; older kernels have filters."""
    handle, link = 0x77, -1
    with socket.create_server(("10.5.0.1", 0)) as server:
        port = server.getsockname()[1]
        services = {(ipaddress.ip_address("10.5.0.1"), port, "tcp"): (1, 0)}
        teach(shield, twin_of(Rules(access={"10.5.0.2": DENY}), services=services))

        def comes_in(source: str) -> bool:
            """Returns whether a client comes in, or else whether the shield has not counted it."""
            before = shield.counts(1).denied
            with socket.socket() as client:
                client.bind((source, 0))
                client.setblocking(False)
                client.connect_ex(server.getsockname())  # over lo a SYN is there at once
                return shield.counts(1).denied == before

        try:
            for _ in range(2):  # a filter takes the place of one that was left behind
                if way == "clsact":
                    shield.filter(LOOPBACK, handle)
                elif link < 0:
                    link = _linked(shield)
                else:
                    shield.relink(link)
            assert comes_in("10.5.0.1")
            assert not comes_in("10.5.0.2")
        finally:
            if link >= 0:
                os.close(link)
            packet.unfilter(LOOPBACK, handle)
        assert comes_in("10.5.0.2")
        packet.unfilter(LOOPBACK, handle)  # nothing is there


def test_two_services_with_filters_do_not_take_each_other_s(shield: Shield) -> None:
    one, other = map(handle_of, ("/run/l4lb/admin.sock", "/run/other/admin.sock"))
    with socket.create_server(("10.5.0.1", 0)) as server:
        services = {(ipaddress.ip_address("10.5.0.1"), server.getsockname()[1], "tcp"): (1, 0)}
        teach(shield, twin_of(Rules(access={"10.5.0.2": DENY}, dry_run=True), services=services))

        def looks() -> int:
            """Returns how many filters look at a client."""
            with counted(shield, 1) as grown, socket.socket() as client:
                client.bind(("10.5.0.2", 0))
                client.setblocking(False)
                client.connect_ex(server.getsockname())
            return grown["dry_denied"]

        seen = [looks()]
        for change in (lambda: shield.filter(LOOPBACK, one), lambda: shield.filter(LOOPBACK, other),
                       lambda: packet.unfilter(LOOPBACK, one),
                       lambda: packet.unfilter(LOOPBACK, other)):  # fmt: skip
            change()
            seen.append(looks())
    assert seen == [0, 1, 2, 1, 0]


def _linked(shield: Shield) -> int:
    try:
        return shield.link(LOOPBACK)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("this kernel has no tcx")
        raise
