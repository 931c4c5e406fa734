"""The recorder as the supervisor runs it: the process that keeps chosen requests and answers in
folders. A service without a record has none."""

from __future__ import annotations

import socket

from l4lb.config.model import Config
from l4lb.native.table import Table
from l4lb.supervisor.access.records import Records
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards

OTHER_RECORDS = "the configuration of records has changed"


class Recording(Helper):
    """Runs the recorder, if there is a record."""

    def __init__(
        self, reactor: Reactor, table: Table, config: Config, records: Records, guards: Guards
    ) -> None:
        self._table = table
        self._config = config
        self._records = records
        self._running: object = None  # what the process knows
        super().__init__(
            reactor,
            "recorder",
            self._run,
            keep=[],
            guard=lambda: guards.recorder(list(records.folders.values())),
        )

    def start(self) -> None:
        if not self._config.record or self.alive:
            return
        # why here: a service without records needs none of these modules, and a process that takes
        # a dead one's place must not depend on their files.
        import l4lb.record.main  # noqa: F401

        records = self._records
        self._running = self._known()
        self._keep = [*records.fds, records.tally_fd, *records.folders.values()]
        super().start()

    def configure(self, config: Config) -> None:
        """Another configuration is in force. Another process takes this one's place, with other
        folders."""
        self._config = config
        if not self.alive:
            self.start()
        elif self._running != self._known():
            self.send({"op": "leave"})
            self.replace(OTHER_RECORDS)

    def _known(self) -> object:
        """Returns what the process knows of the configuration."""
        log = self._config.process.log
        folders = dict(self._records.folders)
        return self._config.record, folders, log.query, log.mask_client

    def _run(self, channel: socket.socket) -> int:
        from l4lb.record.main import RecorderSetup, run

        records = self._records
        fds = {"fd": records.fd, "wake_fd": records.wake_fd, "tally_fd": records.tally_fd}
        return run(
            RecorderSetup(self._table, channel, **fds, folders=records.folders, config=self._config)
        )
