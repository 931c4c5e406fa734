"""`l4lb run`: the service in the foreground, from a file, from flags, or as a demonstration."""

from __future__ import annotations

import contextlib
import os

import click

from l4lb import inherited
from l4lb.config.bounds import WORKERS
from l4lb.config.model import Config
from l4lb.errors import UsageError
from l4lb.imports import quick


def _configuration(
    file: str | None,
    listen: tuple[str, ...],
    backend: tuple[str, ...],
    balance: str | None,
    forward: str | None,
) -> Config:
    from l4lb.config.flags import forward_proxy, from_flags
    from l4lb.config.reading import parse

    if file is not None:
        if listen or backend or balance or forward:
            others = "--listen, --backend, --balance and --forward"
            raise UsageError(f"-c FILE says it all: leave out {others}")
        return parse.load(file)
    if forward is not None:
        if listen or backend or balance:
            raise UsageError("--forward stands alone: leave out --listen, --backend and --balance")
        return forward_proxy(forward)
    return from_flags(listen, backend, balance)


def _ready(config: Config, workers: int | None, admin: str | None) -> Config:
    """Returns the configuration as it will run, with these options in place of its own settings.
    Raises ConfigError for what it names and cannot be read."""
    from l4lb.config.flags import override
    from l4lb.config.reading.resolve import resolve
    from l4lb.http import pages

    found = resolve(override(config, workers, admin))
    pages.check(found)
    if found.forward:
        from l4lb.policy import checked  # why here: nobody else needs these modules

        checked.check(found)
    return found


def _warn(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        click.echo(f"warning: {text}", err=True)


@click.command("run")
@click.option("-c", "--config", "file", metavar="FILE", help="The configuration, a TOML file.")
@click.option("--listen", multiple=True, metavar="tcp://HOST:PORT", help="An address for clients.")
@click.option(
    "--backend",
    multiple=True,
    metavar="HOST:PORT[,weight=N]",
    help="A backend; each --listen uses all of them.",
)
@click.option("--balance", metavar="NAME", help="Load balancing algorithm; default: round_robin.")
@click.option(
    "--forward", metavar="HOST:PORT", help="A forward proxy there for the clients of this host."
)
@click.option(
    "--demo", is_flag=True, help="A demonstration on 127.0.0.1:8080 with three HTTP backends."
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), help="Port of the demonstration, instead of 8080."
)
@click.option(
    "--workers",
    type=click.IntRange(*WORKERS),
    help="Worker processes, instead of the configuration's.",
)
@click.option("--admin", metavar="PATH", help="The admin socket, instead of the configuration's.")
def command(
    file: str | None,
    listen: tuple[str, ...],
    backend: tuple[str, ...],
    balance: str | None,
    forward: str | None,
    demo: bool,
    port: int | None,
    workers: int | None,
    admin: str | None,
) -> int:
    """Runs the service in the foreground."""
    with quick():
        from l4lb.cli import demo as demonstration
        from l4lb.config.reading import parse
        from l4lb.supervisor.first_start import serve
        from l4lb.supervisor.reload.source import ConfigOrigin
        from l4lb.supervisor.upgrade import state_file

    def load(path: str) -> Config:
        return _ready(parse.load(path), workers, admin)

    asked = state_file.asked(os.environ)
    if asked is not None:
        from l4lb.supervisor import successor

        return successor.answer(*asked, load)
    for limit in inherited.for_service(os.environ):
        _warn(limit)
    if demo:
        if file or listen or backend or balance or forward:
            raise UsageError(
                "--demo stands alone: leave out -c, --listen, --backend, --balance and --forward;"
                " --port N says where it listens"
            )
        return demonstration.run(port=port, workers=workers, admin=admin)
    if port is not None:
        raise UsageError(
            "--port is the demonstration's; elsewhere --listen tcp://HOST:PORT says it"
        )
    if file is None and not listen and not forward:
        raise UsageError("what to run? give -c FILE, or --listen and --backend, or --demo")
    given = _configuration(file, listen, backend, balance, forward)
    config = _ready(given, workers, admin)
    origin = ConfigOrigin(os.path.abspath(file) if file else "", load)
    for warning in config.warnings:
        _warn(str(warning))
    return serve(config, origin=origin)
