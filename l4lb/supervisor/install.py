"""Making a configuration the running one, as the difference to the one before.

All that can fail comes first: rows, sockets. What follows cannot, so nothing is ever half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from l4lb.config.model import Bind, Config
from l4lb.native import udp
from l4lb.native.table import Table
from l4lb.supervisor import sockets
from l4lb.supervisor.activation import Inherited
from l4lb.supervisor.apply import Membership
from l4lb.supervisor.crew import Crew
from l4lb.supervisor.diff import Change
from l4lb.supervisor.reactor import monotonic_ms
from l4lb.supervisor.rows import Rows
from l4lb.supervisor.secrets import Secrets
from l4lb.supervisor.sockets import Listening
from l4lb.supervisor.workers import Workers


def wanted(config: Config) -> dict[tuple[str, str], tuple[str, Bind, str]]:
    """Each address to be bound, by protocol and text: its listener's name, itself, the protocol."""
    return {
        (one.protocol, str(bind)): (name, bind, one.protocol)
        for name, one in config.listeners.items()
        for bind in one.bind
    }


def open_all(
    config: Config,
    rows: Rows[tuple[str, str]],
    have: Mapping[tuple[str, str], Listening],
    inherited: Inherited,
    seed: int,
) -> Iterator[Listening]:
    """The sockets of every address: those of a program before this one, those that a service
    manager passed, or new ones. Raises L4lbError."""
    workers = range(config.process.workers)
    for key, (name, bind, protocol) in wanted(config).items():
        row = rows[name, str(bind)]
        if key in have:
            have[key].row, have[key].listener = row, name
            yield have[key]
            continue
        passed = inherited.take(name, bind, protocol)
        if passed is not None:
            yield Listening(bind, name, row, {0: passed}, passed=True, protocol=protocol)
            continue
        by_port = not config.listeners[name].max_sessions_per_source
        yield sockets.open_listening(bind, name, row, workers, protocol, seed=seed, by_port=by_port)


class Installer:
    """Changes table, sockets and workers from one configuration to another. on_done is called with
    the one that is in force then."""

    def __init__(
        self,
        table: Table,
        membership: Membership,
        secrets: Secrets,
        workers: Workers,
        crew: Crew,
        on_done: Callable[[Config], None],
    ) -> None:
        self._table = table
        self._membership = membership
        self._secrets = secrets
        self._workers = workers
        self._crew = crew
        self._on_done = on_done

    def install(self, before: Config, after: Config, changes: Sequence[Change]) -> None:
        """Raises L4lbError; then nothing was changed."""
        self._membership.check_room(before, after)
        bundle = self._secrets.prepare(after)
        count = after.process.workers
        old_count = len(self._workers.staying)
        self._crew.make_sockets(count)
        try:
            opened = self._open(after, range(count))
        except BaseException:
            self._crew.drop_sockets_from(old_count)
            raise
        try:
            self._membership.change(after, changes, monotonic_ms())
        except BaseException:
            self._crew.drop_sockets_from(old_count)
            for one in opened:
                one.close()
            raise
        self._secrets.adopt(after, bundle, self._membership.bindings)
        self._crew.resize(count, after.process.drain_timeout_ms)
        self._move(after)
        for one in opened:
            one.row = self._membership.listeners[one.listener, str(one.bind)]
            self._crew.listen(one)
        self._on_done(after)

    def _open(self, after: Config, workers: Sequence[int]) -> list[Listening]:
        """The sockets of addresses that are new."""
        have = {one.key for one in self._workers.listening}
        opened: list[Listening] = []
        try:
            for key, (name, bind, protocol) in wanted(after).items():
                if key not in have:
                    alone = not self._crew.has_port(protocol, bind.port)
                    opened.append(
                        sockets.open_listening(
                            bind,
                            name,
                            -1,
                            workers,
                            protocol,
                            alone=alone,
                            seed=udp.seed(self._table),
                            by_port=not after.listeners[name].max_sessions_per_source,
                        )
                    )
        except BaseException:
            for one in opened:
                one.close()
            raise
        return opened

    def _move(self, after: Config) -> None:
        """Addresses that went, or belong to another listener now."""
        want = wanted(after)
        for one in list(self._workers.listening):
            if one.key not in want:
                self._crew.unlisten(one)
                continue
            one.listener = want[one.key][0]
            by_port = not after.listeners[one.listener].max_sessions_per_source
            if one.by_port != by_port:
                one.by_port = by_port
                self._crew.move_flows(after.process.workers)
            row = self._membership.listeners[one.listener, str(one.bind)]
            if row != one.row:
                self._crew.relabel(one, row)
