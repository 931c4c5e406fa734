"""The addresses of this host, from /proc. why not by a library: those that are kept ask the kernel
by system calls that the filter of the policy process refuses."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from l4lb.policy.compiled import own_addresses

LOOK_S = 10.0  # between two looks
BYTES_MAX = 4 << 20  # of one file
# A leaf of the table of routes: the address, and below it what it is.
LOCAL = re.compile(r"\|-- ([0-9.]+)\n(?:\s+/\d+ .*\n)*?\s+/32 host LOCAL\n")


def local_addresses(fib_trie: str, if_inet6: str) -> set[str]:
    """Returns the addresses in the texts of /proc/net/fib_trie and /proc/net/if_inet6."""
    found = set(LOCAL.findall(fib_trie))
    for line in if_inet6.splitlines():
        digits = line.partition(" ")[0]
        if len(digits) == 32:
            found.add(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return {str(ipaddress.ip_address(one)) for one in found}


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(BYTES_MAX)
    except OSError:  # a kernel without this family
        return ""


@dataclass
class Local:
    """By port, the addresses at which this service listens. binds: address and port of each
    listener."""

    binds: tuple[tuple[str, int], ...]
    _found: Mapping[int, set[str]] = field(default_factory=dict)
    _due_s: float = 0.0

    def own(self) -> Mapping[int, set[str]]:
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + LOOK_S
            texts = _read("/proc/net/fib_trie"), _read("/proc/net/if_inet6")
            self._found = own_addresses(self.binds, local_addresses(*texts))
        return self._found
