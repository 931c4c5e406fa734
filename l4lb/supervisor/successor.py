"""The start of a program that takes over from an older one (upgrade/new_program.py)."""

from __future__ import annotations

import os
from collections.abc import Callable

import l4lb.log
from l4lb.config.model import Config
from l4lb.supervisor.main import Supervisor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.reload.source import ConfigOrigin
from l4lb.supervisor.sockets.systemd_activation import Inherited
from l4lb.supervisor.upgrade.new_program import Predecessor, check

Load = Callable[[str], Config]


def answer(what: str, fd: int, load: Load) -> int:
    """Does what the old program has asked for: "check" only checks the state behind fd, "run" takes
    over with that state."""
    return check(fd) if what == "check" else take_over(fd, load)


def take_over(fd: int, load: Load) -> int:
    """Runs the service in place of the program that wrote the state behind fd. Goes back to that
    program if this fails early."""
    before = Predecessor(fd)
    try:
        config = before.source.running
        l4lb.log.setup(config.process.log.level, config.process.log.format)
        pid = os.getpid()
        supervisor = Supervisor(
            config,
            ConfigOrigin(before.source.path, load),
            None,
            Notifier(os.environ, pid),
            Inherited({}, pid),
            before,
        )
        supervisor.go_on_from(before.state.generation)
        return supervisor.run()
    except Exception as error:
        if before.succeeded:
            raise
        before.go_back(repr(error))
