"""`l4lb check`: checks a configuration and prints every error at once."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from l4lb.errors import ConfigError, Problem


@click.command("check")
@click.option("-c", "--config", "file", metavar="FILE", required=True, help="A TOML file.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
def command(file: str, as_json: bool) -> int:
    """Checks a configuration; exit status 2 if it has an error."""
    from l4lb.certificates import bundle
    from l4lb.certificates.bundle import Profiles
    from l4lb.certificates.files import Files
    from l4lb.config import plain
    from l4lb.config.reading import parse
    from l4lb.http import pages
    from l4lb.packet import checked as shield
    from l4lb.policy import checked
    from l4lb.supervisor.access import network_lists
    from l4lb.supervisor.process import seccomp
    from l4lb.supervisor.sockets import http_token

    problems: list[Problem] = []
    try:
        config = parse.load(file)
        for look in (
            lambda: bundle.build(config, Files(), Profiles()),
            lambda: network_lists.check(config),
            lambda: pages.check(config),
            lambda: checked.check(config),
            lambda: http_token.check(config),
            lambda: seccomp.check(config),
        ):
            try:
                look()
            except ConfigError as wrong:
                problems += wrong.problems
        if problems:
            raise ConfigError(problems)
    except ConfigError as error:
        if as_json:
            errors = [asdict(problem) for problem in error.problems]
            click.echo(json.dumps({"ok": False, "errors": errors, "warnings": []}))
        else:
            click.echo(error.message, err=True)
        return error.exit_status
    said = (*config.warnings, *checked.faults_of_lists(config), *shield.warnings(config))
    if as_json:
        warnings = [asdict(warning) for warning in said]
        shown = {"ok": True, "errors": [], "warnings": warnings, "config": plain.to_plain(config)}
        click.echo(json.dumps(shown))
    else:
        for warning in said:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{file}: ok")
    return 0
