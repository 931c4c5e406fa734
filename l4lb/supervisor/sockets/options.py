"""Settings of sockets beside their address: protocol, socket options, rights.

A listener's options are set on its listening sockets; accepted connections inherit them. A pool's
options are set by the worker on each connection (csrc/io/sockopt.h); this module only tries them.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import l4lb.log
from l4lb.config import accounts
from l4lb.config.model import Config, Listener, Pool
from l4lb.errors import L4lbError
from l4lb.native import egress

IPPROTO_MPTCP = 262  # linux/in.h; socket.IPPROTO_MPTCP is not in every build of Python
HINTS = {
    errno.EPERM: "start as root, or give CAP_NET_RAW (mark: CAP_NET_ADMIN before Linux 5.17)",
    errno.ENODEV: "this host has no such interface",
}
LOG = l4lb.log.get("supervisor")

Options = Mapping[str, int | str]


class Rights(NamedTuple):
    """Owner, group and mode of a unix socket's file; None: those of a file that this process
    makes."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, listener: Listener) -> Rights:
        mode, owner, group = listener.mode, listener.owner, listener.group
        return cls(
            None if mode is None else int(mode, 8),
            None if owner is None else _number("owner", owner),
            None if group is None else _number("group", group),
        )

    def put_on(self, path: str) -> None:
        """Sets these rights on a socket's file. Raises OSError."""
        uid = os.geteuid() if self.uid is None else self.uid
        gid = os.getegid() if self.gid is None else self.gid
        found = os.lstat(path)
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(path, uid, gid, follow_symlinks=False)
        if self.mode is None:
            os.umask(mask := os.umask(0o077))
        os.chmod(path, 0o777 & ~mask if self.mode is None else self.mode)


AS_IT_COMES = Rights()


def _number(kind: str, name: str) -> int:
    found = accounts.number(kind, name)
    if found is None:
        raise L4lbError(f"this host has no {kind} {name}")
    return found


@dataclass(frozen=True)
class SocketOptions:
    """A listener's settings for each of its sockets. protocol: tcp or udp. values: socket options
    by name. by_port: UDP clients with one IP address may meet different sockets (False: they all
    meet one)."""

    protocol: str = "tcp"
    mptcp: bool = False
    by_port: bool = True
    values: Options = field(default_factory=dict)
    rights: Rights = AS_IT_COMES

    @classmethod
    def of(cls, listener: Listener) -> SocketOptions:
        options = dict(listener.options)
        if listener.transparent:
            options["transparent"] = 1
        by_port = not listener.max_sessions_per_source
        return cls(listener.transport, listener.mptcp, by_port, options, Rights.of(listener))

    def make(self, family: int) -> socket.socket:
        """Returns a new socket with these options, not bound. Raises OSError."""
        kind = socket.SOCK_DGRAM if self.protocol == "udp" else socket.SOCK_STREAM
        sock = socket.socket(
            family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            IPPROTO_MPTCP if self.mptcp else 0,
        )  # fmt: skip
        try:
            egress.apply(sock, self.values)
        except OSError:
            sock.close()
            raise
        return sock

    def put_on(self, sock: socket.socket) -> None:
        """Sets these options on a socket in use. All other options get the values of a new socket.
        Raises egress.OptionError."""
        with socket.socket(sock.family, sock.type) as fresh:
            usual = egress.read(fresh)
        egress.apply(sock, {"interface": "", **usual, **self.values})


def refused(what: str, error: OSError) -> L4lbError:
    """Returns the error for an option of a listener or pool that the kernel refused."""
    option = getattr(error, "option", "socket")
    hint = HINTS.get(error.errno or 0)
    return L4lbError(
        f"{what}: cannot set {option}: {os.strerror(error.errno or 0)}"
        + (f" ({hint})" if hint else "")
    )


def needs_raw(config: Config) -> bool:
    """Returns whether a listener or pool needs CAP_NET_RAW for each connection or socket."""
    keys: list[Listener | Pool] = [*config.listeners.values(), *config.pools.values()]
    return any(one.transparent or one.mark is not None for one in keys)


def try_pools(pools: Iterable[Pool]) -> None:
    """Tries the options of these pools on sockets that are thrown away. Raises L4lbError for an
    option that this process has no right to. Logs a warning if the host lacks an interface or
    address now: it may get them later."""
    for pool in pools:
        try:
            _try_options(pool)
        except OSError as error:
            found = refused(f"pools.{pool.name}", error)
            if error.errno == errno.EPERM:
                raise found from error
            LOG.warning("cannot reach backends for now", why=found.message)
        for source in _not_here(pool):
            LOG.warning("not an address of this host: cannot reach backends from it for now",
                        pool=pool.name, source=source)  # fmt: skip


def _try_options(pool: Pool) -> None:
    options = pool.options | ({"transparent": 1} if pool.transparent else {})
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) if options else ():
        with socket.socket(socket.AF_INET, kind) as sock:
            egress.apply(sock, options)


def _not_here(pool: Pool) -> Iterator[str]:
    for source in pool.source:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
        except OSError:
            yield source
