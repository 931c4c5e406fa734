"""Wide ranges of ports as the supervisor serves them: a listener's range has one socket for each
worker, and a program in the kernel leads the clients of all its ports there (docs/packet.md; the
program is csrc/packet/look.bpf.c).

The program is loaded at the start, before rights are given up; without a right to that, each port
of a range has sockets of its own. After the start the maps are written through descriptors. `sync`
compares what they should say with what they say and writes the difference. The program is attached
by a link whose descriptor is with the supervisor alone: it ends with the supervisor, and an upgrade
hands it over.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import l4lb.log
from l4lb.config import wide
from l4lb.config.model import Config
from l4lb.errors import L4lbError
from l4lb.packet import listening, look, look_program
from l4lb.packet.look import Bound, Range
from l4lb.packet.look_written import Steered, Written
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.sockets.listening import Listening

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

SYNC_MS = 1_000
SHOWN_MAX = 10  # ports of others that one line of the log names
LOG = l4lb.log.get("supervisor")


class Ranges:
    """The wide ranges of one service. before: what `carried` of the old program has returned."""

    def __init__(self, before: Mapping[str, Any]) -> None:
        self._before = before
        self._program: Program | None = None
        self._is_adopted = False
        self._why = "there is no [process.packet]"
        self._said = False
        self._written = Written()
        self._link = -1
        self._old_fds: list[int] = []
        self._listening: Sequence[Listening] = ()
        self._closing: Sequence[Listening] = ()
        self._others: list[Bound] = []
        self._failed = ""

    # ---- start and end -------------------------------------------------------------------------

    def begin(self, config: Config) -> Config:
        """Loads the program, if the configuration has `[process.packet]` and this process has the
        right. Returns the configuration with its wide ranges bound as that allows. Raises
        L4lbError."""
        if config.process.packet is not None:
            try:
                listening.sockets()
                self._program = self._loaded()
            except OSError as error:
                self._why = f"the sockets of this host cannot be listed: {error.strerror}"
            except L4lbError as error:
                self._why = error.message
        return self.marked(config)

    def _loaded(self) -> Program:
        """Returns a new program; if this process has no right to that, the old one."""
        before = self._before
        try:
            made = look_program.load()
        except L4lbError:
            if before.get("layout") != look.LAYOUT:
                raise
            made, self._is_adopted = look_program.adopt(before["fds"]), True
            self._written = Written(before)
        return made

    def marked(self, config: Config) -> Config:
        """Returns a configuration with its wide ranges bound as a whole, or port by port. Raises
        L4lbError if port by port is not possible."""
        found = wide.marked(config, whole=self._program is not None)
        if self._program is None and any(map(wide.ranges, config.listeners.values())):
            _check_apart(found, self._why)
            if not self._said:
                self._said = True
                LOG.info("each port of a range has sockets of its own", why=self._why)
        return found

    def start(self, listening: Sequence[Listening], closing: Sequence[Listening]) -> None:
        """Attaches the program; all sockets are open. Both sequences are followed from now on:
        listening has the addresses that take clients, closing those that are being closed. Raises
        L4lbError."""
        self._listening, self._closing = listening, closing
        self._link = self._before.get("link", -1)
        if self._program is None:
            return
        try:
            self._write(listening)
            if self._link < 0:
                self._link = look_program.attach(self._program)
            elif not self._is_adopted:
                self._program.relink(self._link)
        except OSError as error:
            raise L4lbError(
                f"ranges of ports: the kernel does not take them: {error.strerror};"
                " leave [process.packet] out"
            ) from error
        if not self._is_adopted:
            self._old_fds = list(self._before.get("fds", ()))

    def follow(self, reactor: Reactor) -> None:
        """Follows all changes from now on; an old program does not come back any more."""
        for fd in self._old_fds:
            os.close(fd)
        self._old_fds = []
        if self._program is not None:
            reactor.every(SYNC_MS, self.sync)
        elif self._link >= 0:
            self._let_go()

    def _let_go(self) -> None:
        """Detaches an old program's program: each port has sockets by now."""
        os.close(self._link)
        self._link = -1
        for fd in self._before.get("fds", ()):
            os.close(fd)

    def stop(self) -> None:
        """Detaches the program."""
        if self._link >= 0:
            os.close(self._link)
            self._link = -1
        if self._program is not None:
            self._program.close()
            self._program = None

    def carried(self) -> dict[str, Any]:
        """Returns what the next program needs to take the ranges over."""
        if self._program is None:
            return {}
        return {
            "layout": look.LAYOUT,
            "fds": self._program.fds,
            "link": self._link,
            **self._written.carried(),
        }

    # ---- following -----------------------------------------------------------------------------

    def sync(self, ones: Sequence[Listening] | None = None) -> None:
        """Leads clients to these addresses; None: to those that workers listen on."""
        if self._program is None:
            return
        try:
            self._write(self._listening if ones is None else ones)
            self._failed = ""
        except OSError as error:
            if self._failed != str(error):
                self._failed = str(error)
                LOG.error("ranges of ports cannot be changed, trying again", why=str(error))

    def _write(self, ones: Sequence[Listening]) -> None:
        assert self._program is not None
        whole = [one for one in ones if one.bind.last_port and one.sockets]
        steered = [one for one in map(_steered, whole) if one is not None]
        bound = self._bound(ones, whole) if steered else []
        self._written.put(self._program, steered, bound)
        self._tell(bound, [one.span for one in steered])

    def _bound(self, ones: Sequence[Listening], whole: Sequence[Listening]) -> list[Bound]:
        """Returns all sockets of this host that listen, but for those of ranges, and for those of
        this service that are to take no more clients."""
        stay = set(map(id, ones))
        going = [one for one in (*self._listening, *self._closing) if id(one) not in stay]
        left_out = {
            os.fstat(sock.fileno()).st_ino
            for one in (*whole, *going)
            for sock in one.sockets.values()
            if sock.fileno() >= 0
        }
        return [at for one in listening.sockets() if one.inode not in left_out for at in one.at]

    def _tell(self, bound: Sequence[Bound], spans: Sequence[Range]) -> None:
        """Logs whose ports in ranges are those of others."""
        others = look.inside(bound, spans)
        if others != self._others:
            self._others = others
            ports = sorted({one.port for one in others})
            LOG.info("ports of ranges that have sockets of their own",
                     count=len(ports), ports=ports[:SHOWN_MAX])  # fmt: skip


def foreseen(before: Mapping[str, Any], config: Config) -> Config:
    """Returns the configuration as a program would bind it that takes over what `carried` has
    returned. Raises L4lbError."""
    if config.process.packet is not None and before.get("layout") == look.LAYOUT:
        return wide.marked(config, whole=True)
    ranges = Ranges({})
    found = ranges.begin(config)
    ranges.stop()
    return found


def _steered(one: Listening) -> Steered | None:
    interface, name = 0, one.options.values.get("interface")
    if name:
        try:
            interface = socket.if_nametoindex(str(name))
        except OSError:
            return None  # the interface is gone, so no client comes
    sock = one.sockets[min(one.sockets)]
    span = Range(one.bind.host, one.bind.port, one.bind.last_port, interface)
    return Steered(span, os.fstat(sock.fileno()).st_ino, sock.fileno())


def _check_apart(config: Config, why: str) -> None:
    """Raises L4lbError if there are too many addresses, or one is bound twice: both is allowed
    where ranges are bound as a whole."""
    count = sum(len(one.bind) for one in config.listeners.values())
    if count > config.limits.max_listeners:
        raise L4lbError(
            f"[limits] max_listeners: {config.limits.max_listeners} is less than the {count} bound"
            f" addresses of this configuration, as each port of a range has its own here: {why}"
        )
    seen: dict[tuple[str, str], str] = {}
    for name, listener in config.listeners.items():
        for bind in listener.bind:
            other = seen.setdefault((listener.transport, str(bind)), name)
            if other != name:
                raise L4lbError(
                    f"listeners.{name}: {bind} is in a range of listeners.{other}, and each port"
                    f" of a range has its own sockets here: {why}"
                )
