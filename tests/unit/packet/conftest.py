"""A loaded shield, in a network of its own."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from l4lb.packet import program

from .teaching import LOCAL

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def _network_of_its_own() -> Iterator[None]:
    """A network in which this host has the addresses LOCAL and forwards packets to 10.9 and
    fd09."""
    if not program.is_built():
        pytest.skip("built without libbpf or clang")
    if os.geteuid() != 0:
        pytest.skip("loading a program needs root")
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if _libc.unshare(CLONE_NEWNET):
        pytest.skip(f"no network namespaces: {os.strerror(ctypes.get_errno())}")
    try:
        _ip("link", "set", "lo", "up")
        for address in LOCAL:
            _ip("addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        for family, network in (("-4", "10.9.0.0/16"), ("-6", "fd09::/16")):
            _ip(family, "route", "add", network, "dev", "lo")
        for family in ("ipv4", "ipv6"):
            Path(f"/proc/sys/net/{family}/conf/lo/forwarding").write_text("1")
        yield
    finally:
        _libc.setns(before, CLONE_NEWNET)
        os.close(before)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def shield(_network_of_its_own: None) -> Iterator[Shield]:
    made = _loaded(is_xdp=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def xdp_shield(_network_of_its_own: None) -> Iterator[Shield]:
    """The shield as a program of XDP."""
    made = _loaded(is_xdp=True)
    yield made
    made.close()


@pytest.fixture(params=["tc", "xdp"])
def each_shield(request: pytest.FixtureRequest, shield: Shield, xdp_shield: Shield) -> Shield:
    return xdp_shield if request.param == "xdp" else shield


def _loaded(*, is_xdp: bool) -> Shield:
    from l4lb.native.packet import Shield

    whole = program.XDP_OBJECT if is_xdp else program.OBJECT
    try:
        return Shield.load(whole.read_bytes(), is_xdp)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            pytest.skip(f"this host loads no programs: {error}")
        raise
