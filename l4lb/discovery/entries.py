"""Turns a source's answer into members. Sources are not trusted: each value must obey the rules of
a configuration, and the whole answer is bounded.

A bad entry is left out and reported, and the good ones are used. An answer without any good entry
is a failure of the source. So is an answer that is not a list, or that is too long. A failure
removes no backend.
"""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from l4lb.config.address import Address, is_ip, parse_backend
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

ADDRESS_MAX = 512  # characters; a unix path and a host name are shorter


def of_json(text: bytes | str) -> Answer:
    """Returns the members of a JSON list, or of a map with the list `backends`. Raises
    DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not JSON: {str(error)[:100]}") from error


def of_toml(text: bytes) -> Answer:
    """Returns the members of a TOML file's `backends`. Raises DiscoveryError."""
    if len(text) > ANSWER_BYTES_MAX:
        raise DiscoveryError(f"more than {ANSWER_BYTES_MAX >> 20} MiB")
    try:
        return of_data(tomllib.loads(text.decode()))
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not TOML: {str(error)[:100]}") from error


def of_data(data: Any) -> Answer:
    """Returns the members of plain data: each an address, or a map with one. Raises
    DiscoveryError."""
    listed = data.get("backends") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise DiscoveryError("no list of backends, and no map with one")
    return of_entries(listed)


def of_entries(entries: Sequence[Any], faults: Iterable[str] = ()) -> Answer:
    """Returns members of entries; each is a backend in the form of a configuration, or a result of
    found(). faults: other faults of the source. Raises DiscoveryError."""
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
    """Returns members in an order that does not depend on the source's, each name once: of two
    different members with one name, the one with the greater weight is used. Raises DiscoveryError
    if there are only faults."""
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
    """Raises DiscoveryError if there are too many for one pool."""
    if count > MEMBERS_MAX:
        raise DiscoveryError(f"{count} backends; at most {MEMBERS_MAX} are taken")


def _strength(member: Member) -> tuple[Any, ...]:
    return member.backup, -member.weight, member.max_connections, member.address, member.name


def found(address: str, weight: int = 1, *, backup: bool = False) -> Member | DiscoveryError:
    """Makes an entry for of_entries, for sources with no other keys. weight: within bounds."""
    try:
        return Member(_address(address), "", weight, 0, backup)
    except DiscoveryError as error:
        return error


def _member(said: Any) -> Member:
    if isinstance(said, DiscoveryError):
        raise said
    if isinstance(said, Member):
        return said
    if isinstance(said, str):
        return Member(_address(said))
    if not isinstance(said, dict):
        raise DiscoveryError(f"{shown(said)} is no backend: an address or a map with one")
    try:
        backend = Backend.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DiscoveryError(
            f"backend {shown(said.get('address'))}: {place}: {first['msg']}"
        ) from error
    address = _checked(backend.address, backend.name)
    return Member(
        address,
        backend.name if backend.name != address else "",
        backend.weight,
        backend.max_connections,
        backend.backup,
    )


def _address(text: str) -> str:
    """Returns an address that is also the backend's name, in the form of a configuration. Raises
    DiscoveryError."""
    if len(text) > ADDRESS_MAX:
        raise DiscoveryError(f"{shown(text)} is too long for an address")
    address, fault = _known(text)
    if fault:
        raise DiscoveryError(fault)
    return address


# why: most of a long list is as it was half a second ago, and reading it delays the process.
@functools.lru_cache(maxsize=4 * MEMBERS_MAX)
def _known(text: str) -> tuple[str, str]:
    """Returns the address, or what is wrong with it."""
    try:
        address = parse_backend(text)
        return _checked(address, str(address)), ""
    except DiscoveryError as error:
        return "", str(error)
    except ValueError as error:
        return "", f"backend {shown(text)}: {error}"


def _checked(address: Address, name: str) -> str:
    if address.host and not is_ip(address.host):
        raise DiscoveryError(f"{shown(str(address))}: an IP address is needed, not a name")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise DiscoveryError(f"{shown(name)} is too long for a name; give it another one")
    return str(address)
