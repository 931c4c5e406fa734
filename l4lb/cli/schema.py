"""`l4lb schema`: the configuration's JSON Schema, for editors and other tools."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> int:
    """Prints the JSON Schema of the configuration, for editors."""
    from l4lb.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return 0
