"""What `l4lb check` says of the shield: whether this host could start it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.errors import Problem
from l4lb.packet import program

PATH = ("process", "packet")


def warnings(config: Config) -> Iterator[Problem]:
    """Yields what this host lacks. why no errors: a file may be checked on another host than the
    one that it is for."""
    asked = config.process.packet
    if asked is None or asked.shield == "off":
        return
    if not program.is_built():
        yield config.origin.problem(Finding((*PATH, "shield"), program.NOT_BUILT))
    present = {name for _, name in socket.if_nameindex()}
    for name in asked.interfaces:
        if name not in present:
            finding = Finding((*PATH, "interfaces"), f"this host has no interface {name}")
            yield config.origin.problem(finding)
