"""`l4lb doctor`: finds settings of the host that will cause trouble, with the remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from l4lb.doctor.checks import Check, Need


def _need(file: str | None) -> Need:
    """Returns what the configuration needs from the host; without one, the needs of a service with
    default settings."""
    from l4lb.config.defaults import default_workers
    from l4lb.config.model import Limits
    from l4lb.config.reading import parse
    from l4lb.doctor.checks import Need
    from l4lb.packet.wanted import families

    if file is None:
        return Need(max_connections=Limits().max_connections, workers=default_workers(), udp=True)
    config = parse.load(file)
    listeners, packet = config.listeners.values(), config.process.packet
    return Need(
        max_connections=config.limits.max_connections,
        workers=config.process.workers,
        ports=sorted({bind.port for one in listeners for bind in one.bind}),
        udp=any(one.protocol == "udp" for one in listeners),
        backends=sum(len(pool.backends) for pool in config.pools.values()),
        seccomp=config.process.seccomp,
        shield="off" if packet is None else packet.shield,
        interfaces=() if packet is None else packet.interfaces,
        forwards=sorted(families(config)),
    )


def _text(found: Sequence[Check]) -> str:
    from l4lb.cli.layout import aligned

    lines = aligned([(one.verdict, one.name, one.value) for one in found]).splitlines()
    for line, one in zip(lines, found, strict=True):
        click.echo(line)
        if one.remedy:
            click.echo(f"      {one.meaning}\n      wanted: {one.wanted}\n      do: {one.remedy}")
    worse = sum(one.verdict != "ok" for one in found)
    return f"{worse} of {len(found)} things can be better" if worse else "nothing will hurt"


@click.command("doctor")
@click.option(
    "-c", "--config", "file", metavar="FILE", help="Judge by what this configuration needs."
)
@click.option("--json", "as_json", is_flag=True, help="The result as a JSON list.")
@click.option("--strict", is_flag=True, help="Exit with status 1 if any verdict is not ok.")
def command(file: str | None, as_json: bool, strict: bool) -> int:
    """Reports settings of this host that will cause trouble, with remedies. Changes nothing."""
    from l4lb.doctor import packet
    from l4lb.doctor.checks import examine
    from l4lb.doctor.host import Host
    from l4lb.supervisor.process import seccomp

    host, need = Host(seccomp=seccomp.unavailable()), _need(file)
    found = [*examine(host, need), *packet.examine(host, need)]
    if as_json:
        json.dump([asdict(one) for one in found], sys.stdout)
        click.echo()
    else:
        click.echo(_text(found))
    return int(strict and any(one.verdict != "ok" for one in found))
