"""Observability: the table's rules for what is measured and recorded, and the access log's
writer."""

from __future__ import annotations

import socket
from dataclasses import asdict

import l4lb.access_log.main
from l4lb.access_log.settings import Settings
from l4lb.config.model import Process
from l4lb.native import session_stats, trace
from l4lb.native.table import Table
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor


def log_settings(process: Process) -> Settings:
    """Returns the log writer's settings for a configuration."""
    log = process.log
    return Settings(
        target=log.access,
        style=log.access_format or log.format,
        syslog=log.syslog,
        facility=log.syslog_facility,
        open_every_ms=log.access_open_every_ms,
        query=log.query,
        mask=log.mask_client,
    )


class Observability:
    """Sets the table's rules and runs the access log's writer. Turning the access log off does not
    end the writer: lines may still wait in the table."""

    def __init__(self, reactor: Reactor, table: Table, process: Process) -> None:
        self._table = table
        self._settings = log_settings(process)
        self.writer = Helper(
            reactor,
            "logger",
            self._run,
            keep=[],
        )
        self._started = False
        self._set_rules(process)

    def _set_rules(self, process: Process) -> None:
        log = process.log
        session_stats.set_measures(self._table, process.measure)
        trace.set_every(self._table, process.watch_picks)
        session_stats.set_log_rule(
            self._table,
            on=log.access != "off",
            errors_only=log.access_errors_only,
            share=session_stats.SHARE_WHOLE // log.access_one_in,
            min_duration_ms=log.access_min_duration_ms,
        )

    def _run(self, channel: socket.socket) -> int:
        return l4lb.access_log.main.run(
            l4lb.access_log.main.LoggerSetup(self._table, channel, self._settings)
        )

    def start(self) -> None:
        """Starts the writer if an access log is configured."""
        if self._settings.target != "off" and not self._started:
            self._started = True
            self.writer.start()

    def configure(self, process: Process) -> None:
        """Applies another configuration."""
        settings = log_settings(process)
        if settings.target == "off":
            self._set_rules(process)
            return
        self._settings = settings
        self.writer.send({"op": "settings", "settings": asdict(settings)})
        self.start()
        self._set_rules(process)

    def reopen(self) -> None:
        """Makes the writer open the log's file again: it may have been rotated."""
        self.writer.send({"op": "reopen"})
