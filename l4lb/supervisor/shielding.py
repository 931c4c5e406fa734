"""The shield as the supervisor runs it: a program in the kernel that turns clients away before a
worker sees them (csrc/packet, docs/shield.md).

The program is loaded and attached at the start, before rights are given up. After that its maps are
written through descriptors. Workers stay the authority: they have a new rule first, and the shield
follows it. `sync` compares what the shield should say with what it says and writes the difference,
so it does not matter what has changed, nor how often it is called.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import l4lb.log
from l4lb import tally
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.config.tables.process import Packet
from l4lb.errors import L4lbError
from l4lb.native.packet_rows import Counts, Service
from l4lb.native.table import Table
from l4lb.packet import program
from l4lb.packet.attach import Attached, handle_of
from l4lb.packet.plan import Wanted, left_to_workers, wanted
from l4lb.packet.written import Written
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.sockets.addresses import addresses, interface_of
from l4lb.supervisor.sockets.listening import Listening
from l4lb.supervisor.table.listener_policy import ListenerPolicy

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

SYNC_MS = 1_000
TURN_S = 0.01  # for long lists, before the supervisor does something else
KNOWN_EVERY = 10  # syncs between two looks at UDP sessions when no rule has changed
ADOPTED_MS = 10_000  # an old program's sessions are handed over by then
LOG = l4lb.log.get("supervisor")


class Shielding:
    """The shield of one service; one that is off does nothing. before: what `carried` of the old
    program has returned."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        policy: ListenerPolicy,
        listening: Sequence[Listening],
        before: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._reactor = reactor
        self._table = table
        self._policy = policy
        self._listening = listening
        self._before = before
        self._old_fds: list[int] = []
        self._shield: Shield | None = None
        self._attached: Attached | None = None
        self._dry_run = False
        self._handle = 0
        self._written = Written()
        self._syncs = 0
        self._pending = False
        # why: at an upgrade the sessions of UDP clients are not yet in this program's table.
        self._udp_from_ms = monotonic_ms() + ADOPTED_MS if before else 0
        self._base: dict[int, Counts] = {}
        self._names: dict[int, str] = {}
        self._totals = {name: Counts(*told) for name, told in before.get("counts", {}).items()}
        self.tally_fd = tally.make("l4lb-shield")

    # ---- start and end -------------------------------------------------------------------------

    def start(self, config: Config) -> None:
        """Loads the program and attaches it. Raises L4lbError; but after an upgrade, workers then
        go on without a shield."""
        asked = config.process.packet
        self._handle = handle_of(str(config.process.admin))
        if asked is None or asked.shield == "off":
            self._let_go()
            return
        try:
            self._start(asked)
        except L4lbError as error:
            if not self._before:
                raise
            LOG.error("no shield; workers turn clients away", why=error.message)
            self._let_go()

    def _start(self, asked: Packet) -> None:
        self._dry_run = asked.dry_run
        self._shield = shield = self._loaded(is_xdp=asked.shield == "xdp")
        # why first: an old program's rules are in force until the new ones are there.
        self.sync()
        while self.is_busy:
            self.sync()
        attached = Attached(shield, self._before, self._handle)
        try:
            attached.to(asked.interfaces)
        except BaseException:
            attached.close()
            shield.close()
            self._shield = None
            raise
        self._attached = attached
        LOG.info("shield", interfaces=list(asked.interfaces), attached_by=attached.way,
                 dry_run=asked.dry_run)  # fmt: skip

    def _loaded(self, *, is_xdp: bool) -> Shield:
        """Returns a new shield; if this process has no right to that, the old program's."""
        try:
            made = program.load(is_xdp=is_xdp)
        except L4lbError:
            if not program.is_built():
                raise
            from l4lb.native.packet import LAYOUT, Shield

            if self._before.get("layout") != LAYOUT:
                raise
            try:
                made = Shield.adopt(self._before["fds"])
                made.clear()
                made.clear_known()
            except OSError as error:
                raise L4lbError(program.why_not(error)) from error
        else:
            self._old_fds = list(self._before.get("fds", ()))
        return made

    def _let_go(self) -> None:
        """Detaches an old program's shield."""
        Attached(None, self._before, self._handle).close()
        self._old_fds = list(self._before.get("fds", ()))

    def follow(self) -> None:
        """Follows all changes from now on; an old program does not come back any more."""
        for fd in self._old_fds:
            os.close(fd)
        self._old_fds = []
        if self._shield is not None:
            self._policy.sets.on_change = self.soon
            self._reactor.every(SYNC_MS, self.sync)

    def soon(self) -> None:
        """Syncs when what goes on now is over."""
        if not self._pending and self._shield is not None:
            self._pending = True
            self._reactor.after(0, self.sync)

    def stop(self) -> None:
        """Detaches the program."""
        if self._shield is not None and self._attached is not None:
            self._attached.close()
            self._shield.close()
            self._shield = self._attached = None

    def carried(self) -> dict[str, Any]:
        """Returns what the next program needs to take the shield over."""
        if self._shield is None or self._attached is None:
            return {}
        from l4lb.native.packet import LAYOUT

        self._count()
        return {
            "layout": LAYOUT,
            "fds": self._shield.fds,
            "counts": {name: list(one) for name, one in self._totals.items()},
            **self._attached.carried(),
        }

    # ---- following -----------------------------------------------------------------------------

    def sync(self) -> None:
        """Makes the shield say what the workers say."""
        self._pending = False
        shield = self._shield
        if shield is None:
            return
        if self._attached is not None:
            self._attached.follow()
        try:
            self._sync(shield)
        except OSError as error:
            # why: without rules the shield lets everything pass, and workers decide.
            LOG.error("the shield cannot be changed; workers turn clients away", why=str(error))
            self._written = self._written.given_up(shield)

    @property
    def is_busy(self) -> bool:
        """Whether long lists are on their way into the program."""
        return self._shield is not None and self._written.is_busy

    def _sync(self, shield: Shield) -> None:
        ends_s = self._clock() + TURN_S

        def is_over() -> bool:
            return self._clock() >= ends_s

        services = self._services()
        rows = self._rows(services)
        udp = {row for service, (row, _) in services.items() if service.protocol == "udp"}
        if monotonic_ms() < self._udp_from_ms:
            rows = {row: one for row, one in rows.items() if row not in udp}
        written = self._written
        needed = {number for one in rows.values() for number in one.sets}
        versions = {number: self._policy.sets.version(number) for number in needed}
        old = written.fill(shield, self._table, versions, is_over)
        policies = written.policies_of(rows, dry_run=self._dry_run)
        changed = policies != written.policies
        udp &= policies.keys()
        self._syncs += 1
        looks = bool(udp) and (changed or self._syncs % KNOWN_EVERY == 1)
        if looks and not written.learn(shield, self._table, udp):
            policies = {row: one for row, one in policies.items() if row not in udp}
        written.put(shield, services, policies)
        written.empty(shield, needed, old, is_over)
        self._count()
        if written.is_busy:
            self.soon()
        if changed:
            self._syncs = 0  # why: a worker may have opened a session while it read the old rule

    def _services(self) -> dict[Service, tuple[int, int]]:
        """Returns the row and the interface of every address that is listened on."""
        found: dict[Service, tuple[int, int]] = {}
        for one in self._listening:
            sock = next(iter(one.sockets.values()), None)
            interface = interface_of(one)
            if one.path or sock is None or sock.fileno() < 0 or interface is None:
                continue
            for address, port in addresses(sock):
                found[Service(address, port, one.protocol)] = (one.row, interface)
        return found

    def _rows(self, services: Mapping[Service, tuple[int, int]]) -> dict[int, Wanted]:
        """Returns the rules of every row that has some."""
        self._names |= {one.row: one.listener for one in self._listening}
        refusal = self._policy.blocks.refusal
        heads = {one.listener: one.row for one in sorted(self._listening, key=_row, reverse=True)}
        found = {}
        for row in {row for row, _ in services.values()}:
            known = self._policy.guarded(self._names[row])
            if known is not None:
                found[row] = wanted(*known, refusal, heads[self._names[row]])
        return {row: one for row, one in found.items() if one.says_something}

    # ---- counts --------------------------------------------------------------------------------

    def _count(self) -> None:
        """Adds what was counted since the last time to the listeners' totals."""
        if self._shield is None:
            return
        before = dict(self._totals)
        for row in self._base.keys() | self._written.policies.keys():
            now, last = self._shield.counts(row), self._base.get(row, Counts())
            name = self._names[row]
            old = self._totals.get(name, Counts())
            self._totals[name] = Counts(
                *(a + b - c for a, b, c in zip(old, now, last, strict=True))
            )
            self._base[row] = now
        if before != self._totals:
            with mmap.mmap(self.tally_fd, tally.BYTES) as area:
                tally.write(area, {name: list(one) for name, one in self._totals.items()})

    def shown(self, config: Config) -> list[dict[str, Any]]:
        """Returns the shield as operators see it (docs/admin.md, shield)."""
        self._count()
        attached, refusal = self._attached, self._policy.blocks.refusal
        way = None if attached is None else "dry run" if self._dry_run else attached.way or None
        return [
            {
                "listener": name,
                "shield": way,
                "interfaces": attached.interfaces if attached else [],
                **self._totals.get(name, Counts())._asdict(),
                "workers": left_to_workers(listener, refusal) if way else "all",
            }
            for name, listener in config.listeners.items()
        ]


def _row(one: Listening) -> int:
    return one.row
