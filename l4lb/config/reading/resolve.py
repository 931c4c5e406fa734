"""Looks host names up: once, at start or reload, within a limited time.

The first IPv4 address is used, or the first IPv6 address if there is none. A backend keeps its name
when its address changes. Reading a configuration needs no look-up; using it does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from l4lb.config import addresses
from l4lb.config.address import is_ip
from l4lb.config.bounds import RESOLVE_TIMEOUT_MS
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.config.plain import to_stated
from l4lb.config.position import Path
from l4lb.config.reading import lookup
from l4lb.config.rules import checks
from l4lb.config.units import DURATION
from l4lb.errors import ConfigError


class Answer(NamedTuple):
    """The result of a look-up: the addresses, best first, or why there are none."""

    addresses: Sequence[str]
    error: str | None = None


Lookup = Callable[[Sequence[str], int], Mapping[str, Answer]]


def resolve(
    config: Config, *, timeout_ms: int = RESOLVE_TIMEOUT_MS, look_up: Lookup | None = None
) -> Config:
    """The configuration with an IP address for each host name.

    look_up takes names and a time limit in milliseconds; names it leaves out took too long.
    Raises ConfigError for every name without an address, and for addresses that turn out to be
    the same."""
    uses = dict(_names(config))
    if not uses:
        return config
    answers = (look_up or look_up_names)(sorted(set(uses.values())), timeout_ms)
    failed = list(_failures(uses, answers, timeout_ms))
    if not failed:
        hosts = {name: answers[name].addresses[0] for name in uses.values()}
        resolved = addresses.exchanged(config, lambda _, one: one.at(hosts.get(one.host, one.host)))
        failed = list(checks.errors(to_stated(resolved)))
        if not failed:
            return resolved
    origin = config.origin
    raise ConfigError(
        [origin.problem(one._replace(path=origin.written(one.path) or one.path)) for one in failed]
    )


def look_up_names(names: Sequence[str], timeout_ms: int) -> dict[str, Answer]:
    """Asks the system's resolver for names and returns the answers that came in time."""
    command = [sys.executable, "-I", "-S", lookup.__file__]
    try:
        output = subprocess.run(
            command, input=json.dumps(names).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=timeout_ms / 1000, check=False,
        ).stdout  # fmt: skip
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    answers = {}
    for line in output.splitlines():
        with contextlib.suppress(ValueError):  # cut off in the middle
            name, addresses, reason = json.loads(line)
            answers[name] = Answer(addresses, reason)
    return answers


def _is_name(host: str) -> bool:
    return bool(host) and not is_ip(host)


def _names(config: Config) -> Iterator[tuple[Path, str]]:
    return ((path, one.host) for path, one in addresses.each(config) if _is_name(one.host))


def _failures(
    uses: Mapping[Path, str], answers: Mapping[str, Answer], timeout_ms: int
) -> Iterator[Finding]:
    for path, name in uses.items():
        answer = answers.get(name)
        if answer is None:
            limit = DURATION.format(timeout_ms)
            yield Finding(path, f"{name} could not be looked up within {limit}")
        elif not answer.addresses:
            reason = answer.error or "it has no address"
            yield Finding(path, f"{name} has no address: {reason}")
