"""The interfaces that a program is attached to: by tcx links (Linux 6.6), or by filters of clsact.

A link that is pinned nowhere goes with its last descriptor. A filter stays until it is removed.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l4lb.errors import L4lbError
from l4lb.native.bpf_rows import TCX_INGRESS
from l4lb.packet import program

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

HANDLE, PRIORITY = 0x6C35, 2  # of our filter of clsact; the shield comes before it


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


class Links:
    """The attachments of one program. links: those of before, by interface."""

    def __init__(self, made: Program, links: Mapping[str, int]) -> None:
        self._program = made
        self.links = dict(links)
        self.filters: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._names: Sequence[str] = ()

    @property
    def interfaces(self) -> list[str]:
        return sorted({*self.links, *self.filters})

    @property
    def way(self) -> str:
        """The way in which it is attached, for people."""
        return "clsact" if self.filters else "tcx"

    def to(self, names: Sequence[str]) -> None:
        """Attaches to exactly these interfaces. Raises L4lbError."""
        self._names = names
        for name in set(self.links) - set(names):
            os.close(self.links.pop(name))
        for name in names:
            self._attach(name)

    def again(self) -> None:
        """Attaches to interfaces that have gone and come again."""
        for name in self._names:
            try:
                number = socket.if_nametoindex(name)
            except OSError:
                continue
            if self._numbers.get(name) != number:
                if name in self.links:
                    os.close(self.links.pop(name))
                self.filters.pop(name, None)
                self._attach(name)

    def _attach(self, name: str) -> None:
        try:
            number = socket.if_nametoindex(name)
        except OSError as error:
            raise L4lbError(
                f"[process.packet] interfaces: this host has no interface {name}; see `ip link`"
            ) from error
        try:
            self._attach_to(name, number)
        except OSError as error:
            raise L4lbError(f"interface {name}: {program.why_not(error)}") from error
        self._numbers[name] = number

    def _attach_to(self, name: str, number: int) -> None:
        if name in self.links:
            try:
                self._program.relink(self.links[name])
                return
            except OSError:
                os.close(self.links.pop(name))  # its interface was another one of this name
        try:
            self.links[name] = self._program.link(number, TCX_INGRESS)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self._program.filter(number, HANDLE, PRIORITY)
            self.filters[name] = number

    def close(self) -> None:
        """Detaches from all interfaces."""
        from l4lb.native.bpf import unfilter

        for fd in self.links.values():
            os.close(fd)
        for number in self.filters.values():
            unfilter(number, HANDLE, PRIORITY)
        self.links, self.filters = {}, {}
