"""A configuration as plain data, in three forms.

    to_plain     everything, every default written out: to compare two configurations
    to_stated    the text of a file for it: only values that differ from their defaults
    carried      everything, with what people wrote for it: for another process

Data with every default is not a valid file. A key that means nothing beside other keys is refused,
whatever its value (`verify` without `ca`), so a default that is written is not the same as a
default that is left out. Only to_stated makes files, and only to_stated is checked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from l4lb.config import addresses
from l4lb.config.model import Backend, Config, Process
from l4lb.config.tables.forward import pool_name

# Keys of [process] whose default depends on the machine and on the user who runs the service.
OF_THE_MACHINE = tuple(
    name for name, one in Process.model_fields.items() if one.default_factory is not None
)


def to_plain(config: Config) -> dict[str, Any]:
    """Returns tables, arrays and values with the keys of a file, every default included.

    Reading the result gives an equal configuration. Absent values stay absent: TOML has no null.
    Two configurations with equal effect have equal results.
    """
    plain = _dumped(config)
    for pool in plain["pools"].values():
        _settle_backends(pool)
    return plain


def to_stated(config: Config) -> dict[str, Any]:
    """Returns the values that differ from their defaults. A value whose default depends on the
    machine is included only if it was set, and then whatever it is."""
    stated = _dumped(config, exclude_defaults=True)
    process = stated.pop("process", {})
    for name in OF_THE_MACHINE:
        process.pop(name, None)
        if name in config.process.model_fields_set:
            process[name] = getattr(config.process, name)
    for pool in stated.get("pools", {}).values():
        _settle_backends(pool)
        if "backends" in pool:
            pool["backends"] = [
                one["address"] if list(one) == ["address"] else one for one in pool["backends"]
            ]
    return ({"process": process} if process else {}) | stated


def backend_plain(backend: Backend) -> dict[str, Any]:
    """Returns one backend with every default."""
    plain: dict[str, Any] = backend.model_dump(mode="json", by_alias=True, exclude_none=True)
    _unname(plain)
    return plain


def as_written(config: Config) -> Config:
    """Returns the configuration with the host names of its addresses, as in the file."""
    return addresses.exchanged(config, lambda _, one: one.as_written())


def digest(config: Config) -> str:
    """Returns a digest that is equal for configurations that are written alike, on any machine."""
    plain = to_plain(as_written(config))
    for name in _unsaid(config):
        del plain["process"][name]
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def carried(config: Config) -> dict[str, Any]:
    """Returns everything. plain: the data. asked: the host names of addresses, [path, name] each.
    unsaid: keys of [process] that were not set."""
    asked = [[list(path), one.asked] for path, one in addresses.each(config) if one.asked]
    return {"plain": to_plain(config), "asked": asked, "unsaid": _unsaid(config)}


def of_carried(data: Mapping[str, Any]) -> Config:
    """Reads the result of `carried`, possibly of a version that had fewer keys. Raises
    ValueError."""
    config = Config.model_validate(data["plain"])
    asked = {tuple(path): name for path, name in data.get("asked", ())}
    if asked:
        config = addresses.exchanged(config, lambda at, one: replace(one, asked=asked.get(at, "")))
    # why: model_fields_set is the set itself, and pydantic keeps this information nowhere else.
    config.process.model_fields_set.difference_update(data.get("unsaid", ()))
    return config


def _dumped(config: Config, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """Returns the tables of a file. The pools of forward proxies are not in it: they follow from
    [forward]."""
    found: dict[str, Any] = config.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=exclude_defaults
    )
    for name in config.forward:
        found["pools"].pop(pool_name(name), None)
    if exclude_defaults and not found.get("pools", True):
        del found["pools"]
    return found


def _unsaid(config: Config) -> list[str]:
    return [name for name in OF_THE_MACHINE if name not in config.process.model_fields_set]


def _settle_backends(pool: dict[str, Any]) -> None:
    for backend in pool.get("backends", ()):
        _unname(backend)
    if not pool.get("backends", True):
        del pool["backends"]  # discovery finds them; an empty array is an error


def _unname(backend: dict[str, Any]) -> None:
    if backend["name"] == backend["address"]:
        del backend["name"]  # the default, which may be a name that a file cannot give


def members(pool: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the backends of a pool's plain data by name. A file may leave names out, and backends
    too if there is discovery."""
    return {one.get("name", one["address"]): one for one in pool.get("backends", ())}
