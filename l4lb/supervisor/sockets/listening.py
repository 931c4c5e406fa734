"""The listening sockets: opened once, and kept while the configuration and the number of workers
ask for them.

A TCP address has one SO_REUSEPORT socket for each worker: the kernel shares clients out, and the
queue of a dead worker waits for its replacement. A unix path has one socket, shared by all workers.
udp.py opens the sockets of UDP addresses.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import socket
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from l4lb import owned
from l4lb.config.model import Bind
from l4lb.errors import L4lbError
from l4lb.native.egress import OptionError
from l4lb.supervisor.process.privileges import User
from l4lb.supervisor.sockets import drain_filter, http_token, udp, udp_filter
from l4lb.supervisor.sockets.options import Rights, SocketOptions, refused

BACKLOG = 4096
EMPTY_MS = 200  # time for handshakes that have begun, before their socket is closed
LOCK = ".lock"  # suffix of the admin socket's lock file, which has the service's pid
HINTS = {
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EADDRINUSE: "another program listens there; stop it or choose another address",
    errno.EPERM: "owner, group: only root can give a file away",
    errno.EADDRNOTAVAIL: "no interface of this host has that address",
    errno.ENOPROTOOPT: "mptcp: switch it on (sysctl net.mptcp.enabled=1), or leave the key out",
    errno.EPROTONOSUPPORT: "mptcp: this kernel has none; leave the key out",
    errno.EMFILE: "raise the limit on open files (ulimit -n) or use fewer addresses or workers",
}


@dataclass
class Listening:
    """One bound address: its listener, its row in the table, and its sockets.

    There is a socket for each worker index, or one that all share: for a unix path that is ours to
    remove, or for a socket that a service manager passed. order: the worker indexes in the order in
    which the kernel keeps the sockets of this address (sock_reuseport.c: a new socket comes last,
    and the last one takes the place of one that is closed).
    """

    bind: Bind
    listener: str
    row: int
    sockets: dict[int, socket.socket]
    path: str = ""
    order: list[int] = field(default_factory=list)
    released: set[int] = field(default_factory=set)
    passed: bool = False
    unlinked: bool = False
    options: SocketOptions = field(default_factory=SocketOptions)
    seed: int = 0  # UDP: the secret number of udp_filter.py
    tag: int = field(default_factory=itertools.count(1).__next__)  # a number for it alone

    @property
    def shared(self) -> bool:
        return bool(self.path) or self.passed

    @property
    def has_queues(self) -> bool:
        """Returns whether each worker has a queue of clients of its own here."""
        return self.protocol == "tcp" and not self.shared

    @property
    def protocol(self) -> str:
        return self.options.protocol

    @property
    def key(self) -> tuple[str, str]:
        """Protocol and address of its sockets. A range has those of its first port."""
        return self.protocol, self.bind.first

    def is_read_by(self, index: int) -> bool:
        """Returns whether the worker of this index takes clients from the address. A UDP socket has
        one reader."""
        return self.protocol != "udp" or not self.passed or index == 0

    def has_socket_of(self, index: int) -> bool:
        """Returns whether the worker of this index has a socket here. One that leaves has none at
        an address that is newer than its leave."""
        return bool(self.sockets) if self.shared else index in self.sockets

    def of_worker(self, index: int) -> socket.socket:
        return self.sockets[0 if self.shared else index]

    def share_out(self, count: int) -> None:
        """UDP: shares clients out over the first `count` sockets. csrc/core/udp_steering.h computes
        which client meets which."""
        first = next(iter(self.sockets.values()), None)
        if first is not None and not self.shared:
            udp_filter.steer(first, count, self.seed, by_port=self.options.by_port)

    def add(self, index: int) -> None:
        """Opens a socket for one more worker. Raises L4lbError."""
        if self.shared or index in self.sockets:
            return
        try:
            if self.protocol == "udp":
                self.sockets[index] = udp.open_sockets(self.bind, 1, self.options, alone=False)[0]
                return
            sock = _inet_socket(self.bind, self.options, share_port=True)
            self.sockets[index] = sock
            sock.listen(BACKLOG)
        except OSError as error:
            raise _failed(self.bind, error) from error
        self.order.append(index)

    def drop(self, index: int) -> None:
        """Closes the supervisor's copy of a worker's own socket: nobody will accept from it
        again."""
        if self.shared or index not in self.sockets:
            return
        self.sockets.pop(index).close()
        if index in self.order:
            place = self.order.index(index)
            last = self.order.pop()
            if place < len(self.order):
                self.order[place] = last

    def set_options(self, options: SocketOptions) -> None:
        """Changes the options of all its sockets. Connections accepted from now on have the new
        options. Raises L4lbError."""
        if options == self.options:
            return
        what = f"listeners.{self.listener}"
        if options.mptcp != self.options.mptcp and not self.path:
            raise L4lbError(
                f"{what}.mptcp: cannot be changed while {self.bind} is open; bind another address,"
                " or restart"
            )
        try:
            if options.values != self.options.values and not self.path:
                for sock in self.sockets.values():
                    options.put_on(sock)
            if options.rights != self.options.rights and self.path and not self.unlinked:
                options.rights.put_on(self.path)
        except OSError as error:
            if self.path:
                raise _failed(self.bind, error) from error
            raise refused(what, error) from error
        self.options = options

    def shut(self) -> None:
        """Keeps new clients away from queues. Within EMPTY_MS come those whose handshake has
        begun."""
        if self.has_queues:
            for sock in self.sockets.values():
                drain_filter.shut(sock)

    def release(self, index: int, workers: Collection[int]) -> None:
        """Notes that the worker of this index accepts no more. The last one of `workers` closes a
        shared socket."""
        self.drop(index)
        self.released.add(index)
        if self.shared and self.released >= set(workers):
            self.close()

    def unlink(self) -> None:
        """Removes a unix socket's file: no new client can connect, and queued clients are still
        served."""
        if self.path and not self.unlinked:
            self.unlinked = True
            with contextlib.suppress(FileNotFoundError, PermissionError):  # its folder was root's
                os.unlink(self.path)

    def close(self) -> None:
        """Closes all open sockets, and removes a unix socket's file."""
        if self.sockets:
            self.unlink()
        for sock in self.sockets.values():
            sock.close()
        self.sockets.clear()


def _failed(bind: Bind, error: OSError) -> L4lbError:
    hint = HINTS.get(error.errno or 0)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return L4lbError(f"cannot listen on {bind}: {reason}" + (f" ({hint})" if hint else ""))


def _inet_socket(bind: Bind, options: SocketOptions, *, share_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    sock = options.make(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Accepted sockets inherit this option, which saves a system call for each connection.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((bind.host, bind.port))
    except OSError:
        sock.close()
        raise
    return sock


def _open_inet(
    bind: Bind, workers: Sequence[int], options: SocketOptions, *, alone: bool
) -> dict[int, socket.socket]:
    # SO_REUSEPORT would let two services share a port in silence: first bind without it.
    if alone:
        _inet_socket(bind, options, share_port=False).close()
    sockets: dict[int, socket.socket] = {}
    try:
        for index in workers:
            sockets[index] = _inet_socket(bind, options, share_port=True)
        # Sockets listen only when all are bound: the kernel shares clients out over the listening
        # ones.
        for sock in sockets.values():
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets.values():
            sock.close()
        raise
    return sockets


def _is_stale_socket(path: str) -> bool:
    """Returns whether path is a socket file on which no program answers."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def open_unix(
    path: str, *, mode: int | None = None, rights: Rights | None = None, backlog: int = BACKLOG
) -> socket.socket:
    """Returns a listening unix stream socket at path. The file that a dead service left is
    replaced.

    Raises OSError; EADDRINUSE if a living program answers there.
    """
    if _is_stale_socket(path):
        os.unlink(path)
    sock = socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    )
    old_mask = os.umask(0o777 & ~mode) if mode is not None else None
    try:
        sock.bind(path)
        if rights is not None and rights != Rights():
            _settle(path, rights)  # before listen: until then nobody can connect
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    finally:
        if old_mask is not None:
            os.umask(old_mask)
    return sock


def _settle(path: str, rights: Rights) -> None:
    try:
        rights.put_on(path)
    except OSError:
        os.unlink(path)
        raise


def open_listening(
    bind: Bind,
    listener: str,
    row: int,
    workers: Sequence[int],
    options: SocketOptions,
    *,
    alone: bool = True,
    seed: int = 0,
) -> Listening:
    """Opens the sockets of one address, one for each of these workers. alone: no other socket of
    this service is bound to the port. seed: as in Listening. Raises L4lbError with a remedy."""
    try:
        if options.protocol == "udp":
            found = udp.open_sockets(bind, len(workers), options, alone=alone)
            by_worker = dict(zip(workers, found, strict=True))
            one = Listening(bind, listener, row, by_worker, options=options, seed=seed)
            one.share_out(len(workers))
            return one
        if bind.path:
            sock = open_unix(bind.path, rights=options.rights)
            return Listening(bind, listener, row, {0: sock}, bind.path, options=options)
        sockets = _open_inet(bind, workers, options, alone=alone)
        return Listening(bind, listener, row, sockets, order=list(workers), options=options)
    except OptionError as error:
        raise refused(f"listeners.{listener}", error) from error
    except OSError as error:
        raise _failed(bind, error) from error


def open_one(bind: Bind, backlog: int) -> socket.socket:
    """Opens one listening socket at an IP address that nothing else uses. Raises L4lbError."""
    try:
        sock = _inet_socket(bind, SocketOptions(), share_port=False)
        sock.listen(backlog)
    except OSError as error:
        raise _failed(bind, error) from error
    return sock


@dataclass(frozen=True)
class AdminSocket:
    """The admin socket, and the lock that keeps a second service away from its path."""

    path: str
    sock: socket.socket
    lock_fd: int

    def close(self) -> None:
        """Closes and removes the socket. The lock file stays: removing it would race with the next
        service, which may already wait for the lock."""
        self.sock.close()
        with contextlib.suppress(FileNotFoundError, PermissionError):  # its folder was root's
            os.unlink(self.path)
        os.close(self.lock_fd)

    def give(self, user: User) -> None:
        """Makes the user the owner of the socket. Folder and lock stay root's: otherwise the user
        could make root's next start write elsewhere. The user's group may enter the folder if it
        contains only files of the service. Raises OSError."""
        if os.geteuid() != 0:
            return
        path, name = os.path.split(self.path)
        with owned.folder(path) as folder:
            folder.give(name, user.uid, user.gid)
            if folder.names() <= {name, name + LOCK, http_token.NAME}:
                folder.admit(user.gid)


def _holder(lock_fd: int) -> str:
    """Returns in words who has the lock; "" if its file names nobody."""
    pid = os.pread(lock_fd, 20, 0).decode("ascii", "replace").strip()
    return f" (pid {pid})" if pid.isdigit() else ""


def note_holder(lock_fd: int) -> None:
    """Writes this process's id into the lock file, for people."""
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)


def open_admin(path: str) -> AdminSocket:
    """Opens the admin socket with mode 0660, in a folder with mode 0750 (made if missing).

    Raises L4lbError if another service has the socket, or if the folder is not safe or not usable
    (owned.py).
    """
    lock_fd = -1
    try:
        with owned.folder(os.path.dirname(path)) as folder:
            lock_fd = folder.open(os.path.basename(path) + LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        note_holder(lock_fd)
        return AdminSocket(path, open_unix(path, mode=0o660, backlog=128), lock_fd)
    except OSError as error:
        holder = _holder(lock_fd) if error.errno == errno.EAGAIN else ""
        if lock_fd >= 0:
            os.close(lock_fd)
        if error.errno in (errno.EAGAIN, errno.EADDRINUSE):
            raise L4lbError(
                f"another l4lb{holder} runs on the admin socket {path}; stop it, or give this one"
                " another path ([process] admin)"
            ) from error
        raise L4lbError(
            f"cannot make the admin socket {path}: {error.strerror}; choose another path"
            " ([process] admin)"
        ) from error
