"""The packet path as the supervisor runs it: a program in the kernel that forwards packets of
listeners with data_path = "packet", and of UDP sessions that workers hand over (docs/packet.md).

The program is loaded and attached at the start, before rights are given up. After that its maps are
written through descriptors. `sync` compares what the maps should say with what they say and writes
the difference, so it does not matter what has changed, nor how often it is called. The packet
process (l4lb/packet/main.py) does what must be done often: health, views, sessions, counts.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import l4lb.log
from l4lb import tally
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.config.rules.packet_checks import packet_reasons
from l4lb.config.tables.process import Packet
from l4lb.errors import L4lbError
from l4lb.native import counts
from l4lb.native.bpf_rows import Kind
from l4lb.native.packet_rows import PACKET_ROW
from l4lb.native.table import Table
from l4lb.packet import program, tables, wanted
from l4lb.packet.attach import Attached, handle_of
from l4lb.packet.interfaces import PRIORITY, AtInterfaces, check_forwarding
from l4lb.packet.pins import Pins
from l4lb.packet.written_forward import Written
from l4lb.supervisor.forward_plan import ForwardPlan
from l4lb.supervisor.process import memory_file
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards
from l4lb.supervisor.table.membership import Membership
from l4lb.supervisor.workers.workers import Workers

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

SYNC_MS = 1_000
READY_MS = 25  # more than a tick of the packet process
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOG = l4lb.log.get("supervisor")


class Forwarding(Helper):
    """The packet path of one service, and its process; one that is off does nothing. before: what
    `carried` of the old program has returned."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        membership: Membership,
        workers: Workers,
        guards: Guards,
        before: Mapping[str, Any],
    ) -> None:
        self._table = table
        self._workers = workers
        self._plan = ForwardPlan(table, membership, workers.listening)
        self._before = before
        self._program: Program | None = None
        self._written: Written | None = None
        self._attached: Attached | None = None
        self._pins: Pins | None = None
        self._memory_fd = -1
        self._config: Config | None = None
        self._draining = self._pending = False
        self._told_auto: set[str] = set()
        self._old_fds: list[int] = []
        self.tally_fd = tally.make("l4lb-packet")
        super().__init__(
            reactor, "packet", self._run, keep=[], on_start=self._on_start, guard=guards.packet
        )

    # ---- start and end -------------------------------------------------------------------------

    @property
    def flows_fd(self) -> int:
        """Returns the descriptor of the map of flows, for workers; -1: there is none."""
        return -1 if self._program is None else self._program.fd("flows")

    def load(self, config: Config) -> None:
        """Loads the program and attaches it. Raises L4lbError, unless workers can do without it."""
        self._config = config
        asked = config.process.packet
        # why also after a program that had it: the flows that it has begun go on.
        if asked is None or not (wanted.is_needed(config) or self._before):
            self._remove_left(asked, config.process.admin)
            return
        try:
            try:
                self._load(asked, config)
            except OSError as error:
                raise L4lbError(f"[process.packet]: {program.why_not(error)}") from error
        except L4lbError as error:
            self._unload()
            if any(one.data_path == "packet" for one in config.listeners.values()):
                raise
            LOG.warning("the kernel forwards nothing; workers serve", why=error.message)

    def _remove_left(self, asked: Packet | None, admin: str) -> None:
        """Removes what an earlier service of this name has left in the kernel."""
        self._attached_to(None, self._before, admin).close()
        self._old_fds = list(self._before.get("fds", ()))
        folder = asked.pins if asked is not None else self._before.get("pins")
        if folder:
            Pins(folder, admin, self._before.get("pin_fds")).remove()

    def _load(self, asked: Packet, config: Config) -> None:
        whole = program.of("forward")
        from l4lb.native.bpf import Program
        from l4lb.native.forward import HEAD_BYTES, TRACKED_BYTES

        check_forwarding(asked.interfaces, wanted.families(config))
        pins = Pins(asked.pins, config.process.admin, self._before.get("pin_fds"))
        kind = tables.kind(asked.max_flows, wanted.slots_needed(config))
        if self._before:
            reuse = dict(zip((one.name for one in kind.maps), self._before["fds"][1:], strict=True))
            links, self._memory_fd = dict(self._before["links"]), self._before["memory_fd"]
        else:
            if pins.remove_others():
                LOG.warning("another version of l4lb has left flows in the kernel; they end")
            reuse, links = pins.maps(), pins.links()
            size = HEAD_BYTES + TRACKED_BYTES * asked.max_flows
            self._memory_fd = memory_file.make("l4lb-flows", size)
        self._program = self._taken(whole, kind, reuse)
        if self._program is None:
            reuse, links = {}, {}
            pins.remove()
            self._program = Program.load(whole, kind)
        if reuse and not self._before:
            _drop_sessions_of_workers(self._program, 2 * asked.max_flows)
            LOG.info("the kernel has forwarded without a service; its flows go on",
                     interfaces=sorted(links))  # fmt: skip
        self._written = Written(self._program)
        self._put_settings()
        before = self._before or {"links": links, "ways": dict.fromkeys(links, "tcx")}
        made = AtInterfaces(self._program)
        self._attached = attached = self._attached_to(made, before, config.process.admin)
        self.sync()
        attached.to(asked.interfaces)
        self._pin(pins, asked, self._program, attached.links)
        self._old_fds = list(self._before["fds"]) if self._before else list(reuse.values())
        self._keep = [*self._program.fds[1:], self._memory_fd]
        LOG.info("packets", interfaces=list(asked.interfaces), attached_by=attached.way,
                 listeners=wanted.packet_listeners(config))  # fmt: skip

    def _attached_to(
        self, made: AtInterfaces | None, before: Mapping[str, Any], admin: str
    ) -> Attached:
        return Attached(made, before, handle_of(admin), PRIORITY, "program that forwards")

    def _taken(self, whole: bytes, kind: Kind, reuse: Mapping[str, int]) -> Program | None:
        """Returns the program with the maps of before; None: they cannot be taken over."""
        from l4lb.native.bpf import Program

        try:
            return Program.load(whole, kind, reuse)
        except OSError as error:
            if not reuse:
                raise
            if self._before and error.errno in (errno.EPERM, errno.EACCES):
                # why: a service that has given up its rights keeps the program that it had.
                return Program.adopt([os.dup(fd) for fd in self._before["fds"]], kind)
            LOG.error("the flows of before cannot be taken over; they end", why=str(error))
            return None

    def _pin(self, pins: Pins, asked: Packet, made: Program, links: Mapping[str, int]) -> None:
        """Gives maps and links names. Without names they end with the service's processes."""
        try:
            pins.make()
            pins.put("maps", {one.name: made.fd(one.name) for one in made.kind.maps})
            pins.put("links", links)
            self._pins = pins
        except OSError as error:
            LOG.warning("the kernel forwards no packets after all processes of this service have"
                        " died", why=str(error), pins=asked.pins)  # fmt: skip

    def _unload(self) -> None:
        if self._program is not None:
            self._program.close()
        self._program = self._written = self._attached = None

    def _put_settings(self) -> None:
        """The packet process writes its beat in the same element, once it runs."""
        assert self._program is not None
        key = self._table.hash_key
        k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
        try:
            low, high = (int(one) for one in PORT_RANGE.read_text().split())
        except (OSError, ValueError):
            low, high = 32768, 60999
        told = tables.Settings(k0, k1, 0, low, high)
        self._program.put("settings", tables.index(0), told.packed())

    def give(self, uid: int, gid: int) -> None:
        """Gives the names of maps and links to the user that the service becomes."""
        if self._pins is not None:
            self._pins.give(uid, gid)

    def follow(self) -> None:
        """Follows all changes from now on; an old program does not come back any more."""
        for fd in self._old_fds:
            os.close(fd)
        self._old_fds = []
        if self._program is None:
            return
        if not self.alive:
            self.start()
        self._reactor.every(SYNC_MS, self.sync)
        self.soon()

    def configure(self, config: Config) -> None:
        """Another configuration is in force."""
        before, self._config = self._config, config
        if self._program is not None:
            self.sync()
        elif before is not None and wanted.is_needed(config):
            try:
                self.load(config)
                self.follow()
            except L4lbError as error:
                LOG.error("no packets are forwarded; workers serve", why=error.message)

    def soon(self) -> None:
        """Syncs when the packet process has had time to publish a view."""
        if not self._pending:
            self._pending = True
            self._reactor.after(READY_MS, self.sync)

    def _follow_interfaces(self) -> None:
        """Attaches to interfaces that have come back, and gives the new links their names."""
        if self._attached is None:
            return
        before = self._attached.links
        self._attached.follow()
        if self._pins is not None and self._attached.links != before:
            self._pins.put("links", self._attached.links)

    def _run(self, channel: socket.socket) -> int:
        from l4lb.packet.main import PacketSetup, run

        assert self._program is not None
        maps = self._program.fds[1:]
        return run(PacketSetup(self._table, channel, PACKET_ROW, maps, self._memory_fd))

    def _on_start(self, pid: int) -> None:
        if pid:
            self._table.start_worker(PACKET_ROW, pid=pid, cpu=None, now_ms=monotonic_ms())
            return
        self._table.end_worker(PACKET_ROW, restarted=False)
        self._table.settle()

    # ---- following -----------------------------------------------------------------------------

    def sync(self) -> None:
        """Makes the maps say what the configuration says."""
        self._pending = False
        if self._program is None or self._written is None or self._config is None:
            return
        names = wanted.packet_listeners(self._config)
        self._say_auto(self._config, names)
        try:
            self._written.put(
                self._plan.rows(self._config, names, self._written, draining=self._draining)
            )
            self._follow_interfaces()
        except (OSError, OverflowError) as error:
            LOG.error("the kernel's maps cannot be changed", why=str(error))
        self._tell()
        if not self._plan.complete and self.alive:
            self.soon()

    def _say_auto(self, config: Config, names: Sequence[str]) -> None:
        """Logs once which listeners workers serve, although the kernel was asked."""
        for name, one in config.listeners.items():
            if one.data_path != "auto" or name in names or name in self._told_auto:
                continue
            self._told_auto.add(name)
            LOG.warning("workers serve a listener, and not the kernel", listener=name,
                        why=_reasons(config, name))  # fmt: skip

    # ---- the end -------------------------------------------------------------------------------

    @property
    def remains(self) -> bool:
        """Returns whether flows are to end before the service does."""
        asked = self._config.process.packet if self._config else None
        keeps = asked is not None and asked.on_stop == "keep"
        return self.alive and not keeps and self._held() > 0

    def _held(self) -> int:
        return sum(one.active + one.udp_active for one in self._table.workers()
                   if one.index == PACKET_ROW)  # fmt: skip

    def drain(self) -> None:
        """No flow begins any more."""
        if self._program is not None and not self._keeps():
            self._draining = True
            self.sync()

    def _keeps(self) -> bool:
        asked = self._config.process.packet if self._config else None
        return asked is not None and asked.on_stop == "keep"

    def end_flows(self, reason: str) -> None:
        """Ends all flows."""
        if self._program is not None and not self._keeps():
            self.drain()
            self._table.command(PACKET_ROW, "stop", slot=0, serial=0, reason=reason)

    def close(self) -> None:
        """Detaches the program, unless the kernel is to go on."""
        if self._attached is not None and not (self._keeps() and self._pins is not None):
            self._attached.close()
            if self._pins is not None:
                self._pins.remove()
        self._unload()

    def carried(self) -> dict[str, Any]:
        """Returns what the next program needs to take the packet path over."""
        if self._program is None or self._attached is None:
            return {}
        return {
            "fds": self._program.fds,
            **self._attached.carried(),
            "memory_fd": self._memory_fd,
            "layout": tables.LAYOUT,
            "pins": str(self._pins.service.parent) if self._pins is not None else "",
            "pin_fds": dict(self._pins.fds) if self._pins is not None else {},
        }

    # ---- shown ---------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Tells the control process what metrics show."""
        if self._program is None or self._config is None:
            return
        asked = self._config.process.packet
        drops = {
            name: sum(int.from_bytes(one, "little")
                      for one in self._program.get_all("drops", tables.index(number)))
            for number, name in enumerate(tables.DROPS)
        }  # fmt: skip
        told = {"flows": self._held(), "max_flows": asked.max_flows if asked else 0, "drops": drops}
        with mmap.mmap(self.tally_fd, tally.BYTES) as area:
            tally.write(area, told)

    def shown(self, config: Config) -> list[dict[str, Any]]:
        """Returns who serves each listener, as operators see it (docs/admin.md, packets)."""
        names = wanted.packet_listeners(config) if self._program is not None else []
        flows = counts.active_at(self._table, PACKET_ROW)
        rows = [(one.listener, one.row) for one in self._workers.listening]
        return [
            {
                "listener": name,
                "data_path": one.data_path,
                "served_by": "kernel" if name in names else "workers",
                "flows": sum(flows.get(row, 0) for listener, row in rows if listener == name),
                "why": _reasons(config, name) if one.data_path == "auto" else None,
            }
            for name, one in config.listeners.items()
        ]


def _reasons(config: Config, name: str) -> str | None:
    found = packet_reasons(config, name)
    return "; ".join(f"{'.'.join(map(str, path))}: {why}" for path, why in found) or None


def _drop_sessions_of_workers(made: Program, entries: int) -> None:
    """Takes out the flows of UDP sessions whose workers have died with their service: nobody would
    end them, and another client could have their ports."""
    for key in made.keys("flows", entries):
        value = made.get("flows", key)
        if value is not None and tables.Flow.unpacked(value).mode == tables.MODES["udp"]:
            made.drop("flows", key)
