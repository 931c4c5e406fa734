"""What a source says, as members. Sources are not trusted: each word is held to the same rules as a
configuration's, and the whole is bounded."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from pydantic import ValidationError

from l4lb.config.address import is_ip
from l4lb.config.tables.pool import Backend
from l4lb.config.units import shown
from l4lb.discovery.types import ANSWER_BYTES_MAX, MEMBERS_MAX, DiscoveryError, Member


def of_json(text: bytes | str) -> list[Member]:
    """The members of a JSON list, or of a map with the list `backends`. Raises DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not JSON: {str(error)[:100]}") from error


def of_toml(text: bytes) -> list[Member]:
    """The members of a TOML file's `backends`. Raises DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(tomllib.loads(text.decode()))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not TOML: {str(error)[:100]}") from error


def of_data(data: Any) -> list[Member]:
    """Members of plain data: each an address, or a map with one. Raises DiscoveryError."""
    found = data.get("backends") if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise DiscoveryError("no list of backends, and no map with one")
    if len(found) > MEMBERS_MAX:
        raise DiscoveryError(f"{len(found)} backends; at most {MEMBERS_MAX} are taken")
    return distinct([_member(one) for one in found])


def distinct(members: list[Member]) -> list[Member]:
    """In one order whatever the source's, each name once. Raises DiscoveryError if two different
    ones have one name."""
    known: dict[str, Member] = {}
    for one in members:
        if known.setdefault(one.known_as, one) != one:
            raise DiscoveryError(f"two different backends are named {shown(one.known_as)}")
    return [known[name] for name in sorted(known)]


def _member(said: Any) -> Member:
    table = {"address": said} if isinstance(said, str) else said
    if not isinstance(table, dict):
        raise DiscoveryError(f"{shown(said)} is no backend: an address or a map with one")
    try:
        backend = Backend.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DiscoveryError(
            f"backend {shown(table.get('address'))}: {place}: {first['msg']}"
        ) from (error)
    if backend.host and not is_ip(backend.host):
        raise DiscoveryError(f"{shown(str(backend.address))}: an IP address is needed, not a name")
    return Member(
        str(backend.address),
        backend.name if backend.name != str(backend.address) else "",
        backend.weight,
        backend.max_connections,
        backend.backup,
    )
