"""What the old program tells the new one: what it has open, what it knows, what it has counted.

It goes as plain data (state_file.py). Later versions add keys and leave out none; from_plain reads
what earlier ones wrote. A descriptor is a number, which stays the same over the execve.
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

CONFIG_KEYS = ("plain", "asked", "unsaid")  # of config/plain.py, carried
Plain = Mapping[str, Any]


@dataclass(frozen=True)
class AdminFds:
    """The admin socket, and the lock of its path."""

    path: str
    fd: int
    lock_fd: int


@dataclass(frozen=True)
class OldWorker:
    """A worker that serves on: its index there, and the supervisor's end of its mailbox."""

    index: int
    post_fd: int


@dataclass(frozen=True)
class Steward:
    """The child that keeps the old table's counts (old_counts.py). stops, tells: it understands to
    end sessions, and to tell what is left of them; earlier versions' did not."""

    pid: int
    fd: int
    stops: bool = False
    tells: bool = False


@dataclass(frozen=True)
class Asker:
    """Whom the new program answers: the old control process's channel, the request's number, and
    the cause that the record of changes has. id None: nobody waits for an answer."""

    fd: int | None
    id: object = None
    cause: object = None


@dataclass(frozen=True)
class State:
    """old: how the old program was started; back: it is put back, after the new one has failed.

    config: as config/plain.py carries it; known: of carried_state.py, as sticky (absent in a check)
    and lists; counts: of carried_counts.py. workers by pid; older: those of programs before. keep:
    every descriptor that goes over."""

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
        yield from (self.web_fd, self.answer.fd, self.writer_fd)
        yield self.steward.fd if self.steward else None
        yield from (one["fd"] for one in (self.sticky, self.lists) if one is not None)

    def with_keep(self) -> State:
        """The same state, with every descriptor that it names in keep."""
        return replace(self, keep=[fd for fd in self._fds() if fd is not None])

    def to_plain(self) -> dict[str, Any]:
        """For the file of the state."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del plain["config"], plain["known"]
        for name in ("steward", "sticky", "lists"):
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
        """What to_plain gave, perhaps of another version. Raises KeyError, TypeError."""
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
            back=told["back"],
            keep=told["keep"],
        )


def _of(made: Any, told: Plain) -> Any:
    """A part of the state; keys that a later version added are left out."""
    return made(**{name: told[name] for name in made.__dataclass_fields__ if name in told})


def described(one: Listening) -> dict[str, Any]:
    """An open address, for State.listening."""
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
    """The open address that is described so; its row is not known yet."""
    (bind,) = parse_bind(told["bind"])
    return Listening(
        bind,
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
