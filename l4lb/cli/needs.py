"""What a configuration needs from the user who starts the service: files, folders, rights, limits.

Pure: it uses the configuration and nothing on this host.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from l4lb.config.model import Config
from l4lb.config.tables.base import Model
from l4lb.config.tables.discovery import Discovery
from l4lb.supervisor.sockets.options import needs_raw

LOW_PORTS = 1024
SPARE_FILES = 1024  # in addition to sessions: listeners, pipes, checks, logs
FILES_LEAST = 65_536  # so that a larger max_connections needs no new unit
FILE_KEYS = ("cert", "key", "ca", "errors")  # and keys that end in _file
PROGRAM_KEYS = ("command", "alert")


@dataclass(frozen=True)
class Needs:
    """reads: files that it must be able to read. uses: sockets of others. makes: files and sockets
    that it makes. disks: folders of caches. sockets: those that clients connect to. user: the user
    that it changes to."""

    reads: tuple[str, ...]
    uses: tuple[str, ...]
    makes: tuple[str, ...]
    disks: tuple[str, ...]
    sockets: tuple[str, ...]
    low_ports: bool
    raw: bool
    gives: bool
    packets: bool
    user: str | None
    descriptors: int
    drain_ms: int


def needs(config: Config) -> Needs:
    """Returns all needs. Included files are among its reads."""
    listeners, process = config.listeners.values(), config.process
    spans = [span for one in listeners for span in one.bind_ranges]
    ports = [span.first_port for span in spans if not span.path]
    if process.http is not None:
        ports.append(process.http.port)
    sockets = [span.path for span in spans if span.path]
    made = [process.admin] if "admin" in process.model_fields_set else []
    if process.log.access.startswith("/"):
        made.append(process.log.access)
    backends = [one.address for pool in config.pools.values() for one in pool.backends]
    sessions = 2 * config.limits.max_connections
    if any(one.protocol == "udp" for one in listeners):
        sessions += config.limits.max_udp_sessions
    return Needs(
        reads=(*_written(config), *_files(config)),
        uses=tuple(one.path for one in backends if one.path),
        makes=(*made, *sockets),
        disks=tuple(one.disk.path for one in config.cache.values() if one.disk),
        sockets=tuple(sockets),
        low_ports=any(0 < port < LOW_PORTS for port in ports),
        raw=needs_raw(config),
        gives=any(one.owner is not None or one.group is not None for one in listeners),
        packets=process.packet is not None,
        user=process.user,
        descriptors=max(FILES_LEAST, sessions + SPARE_FILES),
        drain_ms=process.drain_timeout_ms,
    )


def _written(config: Config) -> Iterator[str]:
    """Yields the configuration's own files."""
    origin = config.origin
    for file in (origin.file, *(one.file for one in origin.also)):
        if file is not None:
            yield os.path.abspath(file)


def _files(value: Any) -> Iterator[str]:
    """Yields the files and programs that a table names, with those of its tables."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for one in value:
            yield from _files(one)
    if not isinstance(value, Model):
        return
    for key, of in value:
        is_file = key in FILE_KEYS or key.endswith("_file")
        if isinstance(of, str) and (is_file or (key == "path" and isinstance(value, Discovery))):
            yield of
        elif key in PROGRAM_KEYS and isinstance(of, tuple) and of and os.path.isabs(of[0]):
            yield of[0]
        else:
            yield from _files(of)
