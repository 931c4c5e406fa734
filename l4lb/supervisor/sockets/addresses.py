"""The addresses of listening sockets as packets have them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from l4lb.supervisor.sockets.listening import Listening


def interface_of(one: Listening) -> int | None:
    """Returns the number of the interface that an address is bound to; 0: to none; None: the
    interface is gone, so no packet comes."""
    name = one.options.values.get("interface")
    if not name:
        return 0
    try:
        return socket.if_nametoindex(str(name))
    except OSError:
        return None


def addresses(sock: socket.socket) -> Iterator[tuple[str, int]]:
    """Yields the addresses of a socket, as packets have them."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host, port = sock.getsockname()[:2]
    host = host.partition("%")[0].removeprefix("::ffff:")
    yield host, port
    if host == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        yield "0.0.0.0", port
