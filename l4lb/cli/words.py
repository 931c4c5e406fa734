"""The possible next words of an admin command line: commands, options, and names of the running
service.

The prompt and shells use it. If the service does not answer at once, no names are completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from l4lb.cli.units import size
from l4lb.control.commands import COMMANDS
from l4lb.control.serving.client import AdminClient
from l4lb.control.views.condition_names import CONDITIONS
from l4lb.errors import L4lbError

ANSWER_TIMEOUT_S = 0.5
NAMES_MAX = 2_000
CACHE_ACTIONS = {"show": "what is kept of a URL", "purge": "takes answers out",
                 "warm": "fetches the URLs of a file"}  # fmt: skip


def backend_names(path: str) -> dict[str, str]:
    """Returns POOL/NAME of each backend with a description; nothing if nobody answers."""
    try:
        with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S) as client:
            rows = client.call("backends")
    except (L4lbError, TimeoutError):
        return {}
    return {
        f"{row['pool']}/{row['name']}": f"{row['address']} {row['state']} {row['health']}"
        for row in rows[:NAMES_MAX]
    }


def pool_names(path: str) -> dict[str, str]:
    """Returns each pool with its algorithm."""
    try:
        with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S) as client:
            return {row["name"]: row["balance"] for row in client.call("pools")[:NAMES_MAX]}
    except (L4lbError, TimeoutError):
        return {}


def listener_names(path: str) -> dict[str, str]:
    """Returns each listener with its address."""
    try:
        with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S) as client:
            return {row["name"]: row["bind"] for row in client.call("listeners")[:NAMES_MAX]}
    except (L4lbError, TimeoutError):
        return {}


def cache_names(path: str) -> dict[str, str]:
    """Returns each cache with its memory."""
    try:
        with AdminClient(path, timeout_s=ANSWER_TIMEOUT_S) as client:
            return {row["cache"]: size(row["memory_bytes"]) for row in client.call("cache")}
    except (L4lbError, TimeoutError):
        return {}


def of_argument(name: str, path: str) -> Mapping[str, str]:
    """Returns the possible values of an argument of this name, if they can be listed."""
    match name:
        case "backend":
            return backend_names(path)
        case "pool":
            return pool_names(path)
        case "listener":
            return listener_names(path)
        case "cache":
            return cache_names(path)
        case "action":
            return CACHE_ACTIONS
        case "condition":
            return CONDITIONS
        case "operand":
            return backend_names(path)
    return {}


def candidates(group: click.Group, before: Sequence[str], path: str) -> Mapping[str, str]:
    """Returns each word that can follow the words before it, with its meaning."""
    if not before:
        return {
            name: (group.commands[name].get_short_help_str(60)) for name in sorted(group.commands)
        }
    command = group.commands.get(before[0])
    if command is None:
        return {}
    options = {
        flag: (one.help or "")
        for one in command.params
        if isinstance(one, click.Option)
        for flag in one.opts
        if flag not in before
    }
    row = COMMANDS.get(before[0])
    for arg in row.args if row is not None else ():
        if arg.option and arg.of and before[-1] == f"--{arg.name}":
            return of_argument(arg.of, path)
    if before[0] == "cache" and before[-1] == "--listener":
        return listener_names(path)  # of `cache warm`, which no row describes
    given = [word for word in before[1:] if not word.startswith("-")]
    positional = [arg.name for arg in row.args if not arg.option] if row is not None else []
    if len(given) < len(positional):
        return {**of_argument(positional[len(given)], path), **options}
    return options
