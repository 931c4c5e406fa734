"""What a source says, as members. Sources are not trusted: each word is held to the same rules as a
configuration's, and the whole is bounded.

A bad entry is left out and told; the good ones beside it serve. An answer without one good entry
is a fault, and so is one that is no list, or too long: it takes nothing away.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from l4lb.config.address import is_ip
from l4lb.config.bounds import NAME_BYTES_MAX
from l4lb.config.tables.pool import Backend
from l4lb.config.units import shown
from l4lb.discovery.types import (
    ANSWER_BYTES_MAX,
    FAULTS_MAX,
    MEMBERS_MAX,
    Answer,
    DiscoveryError,
    Member,
)


def of_json(text: bytes | str) -> Answer:
    """The members of a JSON list, or of a map with the list `backends`. Raises DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not JSON: {str(error)[:100]}") from error


def of_toml(text: bytes) -> Answer:
    """The members of a TOML file's `backends`. Raises DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(tomllib.loads(text.decode()))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not TOML: {str(error)[:100]}") from error


def of_data(data: Any) -> Answer:
    """Members of plain data: each an address, or a map with one. Raises DiscoveryError."""
    found = data.get("backends") if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise DiscoveryError("no list of backends, and no map with one")
    return of_entries(found)


def of_entries(entries: Sequence[Any], faults: Iterable[str] = ()) -> Answer:
    """Members of entries that are each a backend as a configuration says it, or the DiscoveryError
    that it is none. faults: what the source failed to tell besides. Raises DiscoveryError."""
    check_count(len(entries))
    members: list[Member] = []
    wrong: list[str] = []
    for one in entries:
        try:
            members.append(_member(one))
        except DiscoveryError as error:
            wrong.append(str(error))
    return of_members(members, (*faults, *wrong))


def of_members(members: Iterable[Member], faults: Iterable[str] = ()) -> Answer:
    """In one order whatever the source's, each name once: of two different ones with one name the
    one that takes more is used. Raises DiscoveryError if only faults are left."""
    told = list(faults)
    known: dict[str, Member] = {}
    for one in sorted(set(members), key=_strength):
        if known.setdefault(one.known_as, one) != one:
            told += [f"two different backends are named {shown(one.known_as)}; one is used"]
    told = list(dict.fromkeys(told))[:FAULTS_MAX]
    if told and not known:
        raise DiscoveryError("; ".join(told))
    return Answer(tuple(known[name] for name in sorted(known)), tuple(told))


def check_count(count: int) -> None:
    """Raises DiscoveryError if these are too many for one pool."""
    if count > MEMBERS_MAX:
        raise DiscoveryError(f"{count} backends; at most {MEMBERS_MAX} are taken")


def _strength(member: Member) -> tuple[Any, ...]:
    return member.backup, -member.weight, member.max_connections, member.address, member.name


def _member(said: Any) -> Member:
    if isinstance(said, DiscoveryError):
        raise said
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
        ) from error
    if backend.host and not is_ip(backend.host):
        raise DiscoveryError(f"{shown(str(backend.address))}: an IP address is needed, not a name")
    if len(backend.name.encode()) > NAME_BYTES_MAX:
        raise DiscoveryError(f"{shown(backend.name)} is too long for a name; give it another one")
    return Member(
        str(backend.address),
        backend.name if backend.name != str(backend.address) else "",
        backend.weight,
        backend.max_connections,
        backend.backup,
    )
