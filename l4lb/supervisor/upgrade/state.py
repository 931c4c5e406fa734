"""The state that the old program gives the new one: what it has open, its run-time state, its
counts.

The state is plain data (state_file.py). Later versions add keys and never remove one; from_plain
reads the state of earlier versions. A descriptor is a number, which stays valid over the execve.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from l4lb.config.address import parse_bind
from l4lb.config.plain import of_carried
from l4lb.supervisor.reload.overlay import Overlay
from l4lb.supervisor.reload.source import Source
from l4lb.supervisor.sockets.listening import Listening
from l4lb.supervisor.sockets.options import Rights, SocketOptions
from l4lb.supervisor.tls_secrets import carried_fds

CONFIG_KEYS = ("plain", "asked", "unsaid")  # keys of config/plain.py's carried()
Plain = Mapping[str, Any]


@dataclass(frozen=True)
class AdminFds:
    """The descriptors of the admin socket and of its lock."""

    path: str
    fd: int
    lock_fd: int


@dataclass(frozen=True)
class OldWorker:
    """An old worker that still serves. index: in the old table. post_fd: the supervisor's end of
    its mailbox."""

    index: int
    post_fd: int


@dataclass(frozen=True)
class Steward:
    """The child that watches the old table (old_counts.py). stops: it can end sessions. tells: it
    can report the sessions that are left. Stewards of earlier versions could not."""

    pid: int
    fd: int
    stops: bool = False
    tells: bool = False


@dataclass(frozen=True)
class Asker:
    """The asker for the upgrade. fd: the channel to the old control process. id: the request's
    number, None if nobody waits for an answer. cause: for the record of changes."""

    fd: int | None
    id: object = None
    cause: object = None


@dataclass(frozen=True)
class State:
    """The whole state. old: the command that started the old program. back: the new program has
    failed and the old one goes on.

    config: as config/plain.py carries it. known: from carried_state.py, as are sticky (absent in a
    check) and lists. caches: their file (absent in a check). disks: the locks of caches' folders,
    by path. shield, packets: their descriptors and counts (shielding.py, forwarding.py). ranges:
    what ranges.py carries. counts: from carried_counts.py. workers: by pid. older: pids of workers
    of still earlier programs. keep: every descriptor that is passed on.
    """

    version: str
    old: Sequence[str]
    file: str
    config: Plain
    overlay: Plain
    started_ms: int
    generation: int
    counts: Plain
    admin: AdminFds
    listening: Sequence[Plain]
    workers: Mapping[int, OldWorker]
    lifeline_fd: int
    helpers: Sequence[int]
    answer: Asker
    environment: Mapping[str, str]
    known: Plain = field(default_factory=dict)
    events: Sequence[Plain] = ()
    older: Sequence[int] = ()
    web_fd: int | None = None
    web: Plain | None = None
    writer_fd: int | None = None  # the log writer's channel
    steward: Steward | None = None
    sticky: Plain | None = None
    lists: Plain | None = None
    caches: Plain | None = None
    disks: Mapping[str, int] = field(default_factory=dict)
    shield: Plain = field(default_factory=dict)
    packets: Plain = field(default_factory=dict)
    ranges: Plain = field(default_factory=dict)
    back: bool = False
    keep: Sequence[int] = ()

    @property
    def source(self) -> Source:
        """The configuration in force. Raises ValueError."""
        return Source(self.file, of_carried(self.config), Overlay.from_plain(self.overlay))

    def _fds(self) -> Iterator[int | None]:
        yield from (self.admin.fd, self.admin.lock_fd, self.lifeline_fd)
        for one in self.listening:
            yield from one["sockets"].values()
        yield from (one.post_fd for one in self.workers.values())
        yield from carried_fds(self.known)
        yield from (self.web_fd, self.answer.fd, self.writer_fd, *self.disks.values())
        yield self.steward.fd if self.steward else None
        for one in (self.shield, self.packets):
            yield from (*one.get("fds", ()), *one.get("links", {}).values())
        yield from self.packets.get("pin_fds", {}).values()
        yield self.packets.get("memory_fd")
        yield from (*self.ranges.get("fds", ()), self.ranges.get("link"))
        yield from (one["fd"] for one in (self.sticky, self.lists, self.caches) if one)

    def with_keep(self) -> State:
        """Returns the state with every descriptor that it names in keep."""
        return replace(self, keep=[fd for fd in self._fds() if fd is not None])

    def to_plain(self) -> dict[str, Any]:
        """Returns the state as plain data, for state_file.py."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del plain["config"], plain["known"]
        for name in ("steward", "sticky", "lists", "caches"):
            if plain[name] is None:
                del plain[name]
        if self.steward is not None:
            plain["steward"] = asdict(self.steward)
        return {
            **plain,
            **self.config,
            "carried": self.known,
            "admin": asdict(self.admin),
            "answer": asdict(self.answer),
            "workers": {str(pid): asdict(one) for pid, one in self.workers.items()},
        }

    @classmethod
    def from_plain(cls, told: Plain) -> State:
        """Returns the state that to_plain has written, perhaps in another version. Raises KeyError,
        TypeError."""
        steward = told.get("steward")
        return cls(
            version=told["version"],
            old=told["old"],
            file=told["file"],
            config={key: told[key] for key in CONFIG_KEYS if key in told},
            overlay=told["overlay"],
            started_ms=told["started_ms"],
            generation=told["generation"],
            counts=told["counts"],
            admin=_of(AdminFds, told["admin"]),
            listening=told["listening"],
            workers={int(pid): _of(OldWorker, one) for pid, one in told["workers"].items()},
            lifeline_fd=told["lifeline_fd"],
            helpers=told["helpers"],
            answer=_of(Asker, told["answer"]),
            environment=told["environment"],
            known=told.get("carried", {}),
            events=told.get("events", ()),
            older=told.get("older", ()),
            web_fd=told["web_fd"],
            web=told.get("web"),
            writer_fd=told.get("writer_fd"),
            steward=_of(Steward, steward) if steward is not None else None,
            sticky=told.get("sticky"),
            lists=told.get("lists"),
            caches=told.get("caches"),
            disks=told.get("disks", {}),
            shield=told.get("shield", {}),
            packets=told.get("packets", {}),
            ranges=told.get("ranges", {}),
            back=told["back"],
            keep=told["keep"],
        )


def _of(made: Any, told: Plain) -> Any:
    """Returns a part of the state. Keys that a later version has added are ignored."""
    return made(**{name: told[name] for name in made.__dataclass_fields__ if name in told})


def described(one: Listening) -> dict[str, Any]:
    """Returns the plain data of an open address, for State.listening."""
    return {
        "protocol": one.protocol,
        "bind": str(one.bind),
        "listener": one.listener,
        "path": one.path,
        "passed": one.passed,
        "order": one.order,
        "unlinked": one.unlinked,
        "seed": one.seed,
        "by_port": one.options.by_port,
        "mptcp": one.options.mptcp,
        "options": dict(one.options.values),
        "rights": list(one.options.rights),
        "sockets": {index: sock.fileno() for index, sock in one.sockets.items()},
    }


def opened(told: Plain) -> Listening:
    """Returns the open address that `described` has described; its row is not known yet."""
    return Listening(
        parse_bind(told["bind"]).whole,
        told["listener"],
        -1,
        {int(at): socket.socket(fileno=fd) for at, fd in told["sockets"].items()},
        told["path"],
        list(told["order"]),
        unlinked=told["unlinked"],
        passed=told["passed"],
        options=SocketOptions(
            told["protocol"],
            told.get("mptcp", False),
            told.get("by_port", True),
            told.get("options", {}),
            Rights(*told.get("rights", ())),
        ),
        seed=told.get("seed", 0),
    )
