"""Listening sockets that a service manager passed (socket activation, sd_listen_fds(3)).

A socket belongs to the listener whose name it has (FileDescriptorName=) and to the listener's
address that it is bound to. All workers share a TCP socket. A UDP socket is read by the first
worker only, because a UDP session belongs to one worker. A socket that no listener takes is logged
and closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

import l4lb.log
from l4lb.config.address import Address

FIRST_FD = 3  # SD_LISTEN_FDS_START
NAMES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
LOG = l4lb.log.get("supervisor")


class Inherited:
    """The sockets that were passed to this process and no listener has taken yet."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        count, of_pid, names = (environ.pop(name, "") for name in NAMES)
        self._sockets: dict[tuple[str, str, str], socket.socket] = {}
        if of_pid != str(pid) or not count.isascii() or not count.isdigit():
            return
        words = names.split(":") if names else []
        for number in range(int(count)):
            self._add(FIRST_FD + number, words[number] if number < len(words) else "")

    def _add(self, fd: int, name: str) -> None:
        try:
            sock = socket.socket(fileno=fd)
            os.set_inheritable(fd, False)
            sock.setblocking(False)
        except OSError as error:
            LOG.warning("a passed descriptor is no socket", fd=fd, name=name, error=str(error))
            return
        datagrams = sock.type == socket.SOCK_DGRAM and sock.family != socket.AF_UNIX
        if not datagrams and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            LOG.warning("a passed socket does not listen for connections", name=name)
            sock.close()
            return
        self._sockets[name, _bound_to(sock), "udp" if datagrams else "tcp"] = sock

    def take(self, listener: str, bind: Address, protocol: str) -> socket.socket | None:
        """Takes the socket of that listener and address; it then belongs to the caller."""
        return self._sockets.pop((listener, str(bind), protocol), None)

    def close_rest(self) -> None:
        """Closes sockets that no listener has taken, and logs each."""
        for (name, bound, _), sock in self._sockets.items():
            LOG.warning(
                "a passed socket belongs to no listener",
                name=name,
                bound=bound,
                remedy="FileDescriptorName= is the listener's name, ListenStream= (for UDP"
                " ListenDatagram=) what it binds",
            )
            sock.close()
        self._sockets.clear()


def _bound_to(sock: socket.socket) -> str:
    """Returns the socket's address as a configuration writes it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(Address("", 0, os.fsdecode(name)))
    return str(Address(name[0], name[1]))
