"""What the program that forwards needs of interfaces: that the kernel forwards there, and the way
in which attach.py attaches it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l4lb.errors import L4lbError
from l4lb.native.bpf_rows import TCX_INGRESS

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

PRIORITY = 2  # of its filters of clsact: after the shield's


def check_forwarding(interfaces: Sequence[str], families: Collection[str]) -> None:
    """Raises L4lbError if the kernel forwards no packets of an interface. families: ipv4, ipv6."""
    for family in sorted(families):
        for name in interfaces:
            path = Path(f"/proc/sys/net/{family}/conf/{name}/forwarding")
            try:
                on = path.read_text().strip() != "0"
            except OSError:
                continue  # the interface is told as missing by itself
            if not on:
                raise L4lbError(
                    f"[process.packet] interfaces: the kernel forwards no packets of {name}:"
                    f" sysctl -w net.{family}.conf.{name.replace('.', '/')}.forwarding=1"
                )


class AtInterfaces:
    """The program as attach.py knows programs."""

    is_xdp = False

    def __init__(self, made: Program) -> None:
        self._program = made

    def link(self, interface: int, in_driver: bool = True) -> int:  # noqa: ARG002 - of XDP
        return self._program.link(interface, TCX_INGRESS)

    def relink(self, link: int) -> None:
        self._program.relink(link)

    def filter(self, interface: int, handle: int) -> None:
        self._program.filter(interface, handle, PRIORITY)
