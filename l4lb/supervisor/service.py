"""The parts of one running service, for all code that changes the service.

The set of parts is fixed at start. The parts themselves change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from l4lb.config.model import Config
from l4lb.native.table import Table
from l4lb.supervisor.checking import Checking
from l4lb.supervisor.forwarding import Forwarding
from l4lb.supervisor.keeping import Keeping
from l4lb.supervisor.policing import Policing
from l4lb.supervisor.process.event_history import History
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.ranges import Ranges
from l4lb.supervisor.recording import Recording
from l4lb.supervisor.shielding import Shielding
from l4lb.supervisor.sockets.http import OpenWeb
from l4lb.supervisor.sockets.listening import AdminSocket
from l4lb.supervisor.table.membership import Membership
from l4lb.supervisor.tls_secrets import Secrets
from l4lb.supervisor.workers.resize import WorkerChanges
from l4lb.supervisor.workers.workers import Workers


@dataclass(frozen=True)
class Helpers:
    """The processes beside the workers. log: the access log's writer. keeper: of caches' disks.
    policy: of forward proxies. recorder: of requests and answers that are kept. packets: of the
    kernel's flows."""

    control: Helper
    checker: Checking
    log: Helper
    keeper: Keeping
    policy: Policing
    recorder: Recording
    packets: Forwarding

    def begin(self) -> None:
        """Starts those that do not need workers to be there."""
        self.keeper.start()
        self.policy.start()
        self.recorder.start()

    def configure(self, config: Config) -> None:
        """Tells those that work by it about another configuration in force."""
        self.checker.configure(config)
        self.policy.configure(config)
        self.recorder.configure(config)
        self.packets.configure(config)

    def __iter__(self) -> Iterator[Helper]:
        beside = (self.log, self.keeper, self.policy, self.recorder, self.packets)
        return iter((self.control, self.checker, *beside))


@dataclass(frozen=True)
class Service:
    """The parts of one running service. admin and web: the sockets for operators. The sockets for
    clients belong to `workers`."""

    reactor: Reactor
    table: Table
    membership: Membership
    workers: Workers
    shield: Shielding
    ranges: Ranges
    worker_changes: WorkerChanges
    secrets: Secrets
    admin: AdminSocket
    web: OpenWeb | None
    helpers: Helpers
    history: History
    notifier: Notifier
    started_ms: int
