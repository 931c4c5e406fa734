"""The start of a service that takes over from no older program. successor.py has the other
start."""

from __future__ import annotations

import os
from collections.abc import Callable

import l4lb.log
from l4lb.config.model import Config
from l4lb.supervisor.main import Supervisor
from l4lb.supervisor.process import preload, privileges, seccomp
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.reload.source import ConfigOrigin
from l4lb.supervisor.sockets.systemd_activation import Inherited


def serve(
    config: Config,
    *,
    origin: ConfigOrigin | None = None,
    announce: Callable[[], None] | None = None,
) -> int:
    """Runs the service in the foreground until it is told to end. origin: the configuration's file,
    for reloads. announce: called once when clients are served.

    Returns the exit status: 0, or 1 if the service gave up. Raises L4lbError if it cannot start (an
    address in use, no such folder).
    """
    l4lb.log.setup(config.process.log.level, config.process.log.format)
    seccomp.check(config)
    user = privileges.User.named(config.process.user) if config.process.user else None
    pid, environ = os.getpid(), os.environ
    supervisor = Supervisor(
        config, origin or ConfigOrigin(), announce, Notifier(environ, pid), Inherited(environ, pid)
    )
    if user is not None:
        preload.for_user(user)
        supervisor.become(user)
    return supervisor.run()
