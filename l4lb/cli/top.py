"""`l4lb admin top`: rates of the service, of each backend and of each worker, live or once as
JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from l4lb.cli.rates import Rates
from l4lb.cli.samples import ANSWER_TIMEOUT_S, sample
from l4lb.control.serving.client import AdminClient
from l4lb.errors import UsageError


def measured(path: str, interval_s: float) -> dict[str, Any]:
    """Returns the rates over one interval, as plain data. Raises L4lbError."""
    rates = Rates()
    with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S) as client:
        rates.add(sample(client))
        time.sleep(interval_s)
        rates.add(sample(client))
    totals = {f"{count}_per_s": rate for count, rate in rates.totals.items()}
    assert rates.last is not None
    connections = rates.last.stats.get("connections", 0)
    return {"totals": {"connections": connections, **totals}, **rates.rows}


@click.command("top")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two requests.",
)
@click.option("--json", "as_json", is_flag=True, help="The rates of one interval as JSON.")
@click.pass_obj
def command(path: str, interval: float, as_json: bool) -> None:
    """A live view: rates of the service, of each backend and of each worker."""
    if as_json:
        click.echo(json.dumps(measured(path, interval)))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top draws on a terminal; take --json for a pipe")
    from l4lb.cli.top_view import TopView

    with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S):
        pass  # nobody answers: an error, not an empty screen
    TopView(path, interval).run()
